"""What comes with the program: demo clips and models."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent

MODELS = _HERE / "models"
"""The bundled models; any other is tried in a process of its own before it is loaded."""
SHIPPED_MODEL = MODELS / "afx-2"
"""The model that is used when no other is named."""
DEMO_REFERENCES = {"guitar": "guitar_reference", "voice": "voice_reference", "drums": "voice_reference"}
"""The clips of demos, and of which bundled reference each is to have the sound."""


def clips() -> tuple[str, ...]:
    """List the bundled demo clips."""
    return tuple(sorted(p.stem for p in (_HERE / "clips").glob("*.flac")))


def clip(name: str) -> Path:
    """Give the file of a bundled demo clip, 48 kHz mono; KeyError with the names there are."""
    if name not in clips():
        raise KeyError(f"{name!r} is not a clip; there are {', '.join(clips())}")
    return _HERE / "clips" / f"{name}.flac"
