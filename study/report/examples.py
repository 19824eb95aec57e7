"""Examples to listen to, made from the bundled clips: input, reference, the right answer, and systems' results."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from ... import presets
from ...training.recordings import Recording
from ..metrics.audio import matched
from ..pairs import generators
from ..pairs.condition import Condition
from ..systems import registry
from .cells import title

CLIPS = {"voice": "speech", "guitar": "instrument", "drums": "instrument"}
"""Dry clips that we made (bench/make_clips.py) and may ship, and their kinds."""
CONDITIONS = (
    (Condition(effect_set="equaliser", kind="speech"), 1),
    (Condition(effect_set="compressor", kind="instrument"), 0),
    (Condition(effect_set="distortion", kind="instrument"), 2),
    (Condition(effect_set="reverb", kind="speech"), 3),
    (Condition(effect_set="all", mode="other", kind="instrument"), 4),
)
"""A condition and the number of a pair."""
SYSTEMS = ("match_eq_50", "ad", "spsa", "np", "response", "ours", "ceiling")
SEED = 11


def clips() -> list[Recording]:
    """List our own dry clips as recordings."""
    found = []
    for name, kind in CLIPS.items():
        path = presets.clip(name)
        info = soundfile.info(path)
        found.append(Recording(path, 0.0, info.duration, info.samplerate, info.channels, name, kind))
    return found


def render(models: Path, folder: Path, wanted: Sequence[str] = SYSTEMS) -> Path:
    """Render examples into a folder, list them in examples.json, return its path; systems that fail are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name in wanted:
        try:
            made[name] = registry.system(name, models)
        except FileNotFoundError:
            continue  # not trained
    listed = [_example(i, condition, index, made, folder) for i, (condition, index) in enumerate(CONDITIONS)]
    path = folder / "examples.json"
    path.write_text(json.dumps(listed, indent=1) + "\n")
    return path


def _example(number: int, condition: Condition, index: int, made: dict[str, registry.System], folder: Path) -> dict:
    pair = generators.draw_pair(condition, clips(), index, SEED)
    sounds = {"before": pair.input, "reference": pair.reference, "truth (the right answer)": pair.answer}
    for name, system in made.items():
        try:
            sounds[title(name)] = system(pair).audio
        except Exception:  # a failure in the rows; here there is nothing to play
            continue
    files = []
    for label, x in sounds.items():
        name = f"{number}-{label.split(' (')[0].replace(' ', '-').replace('%', '').replace(',', '')}.ogg"
        level = matched(x, pair.sample_rate)
        level *= min(1.0, 0.98 / max(1e-9, float(np.abs(level).max())))
        soundfile.write(folder / name, level, pair.sample_rate, format="OGG", subtype="VORBIS", compression_level=0.5)
        files.append({"file": name, "label": label})
    about = (
        f"Effects: {pair.about}. Reference from the {condition.mode} recording. "
        "All at -23 LUFS: judge the sound, not the level."
    )
    return {"title": f"{condition.effect_set.capitalize()}, {pair.recording}", "about": about, "sounds": files}
