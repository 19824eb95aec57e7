"""CamillaDSP 4 (https://github.com/HEnquist/camilladsp): a configuration in YAML, which JSON is, too.

Its compressor follows the level of the *sum* of its channels, which for equal channels reads 6.02 dB more than
ours, and has a hard knee.
"""

import json
from collections.abc import Mapping
from typing import Any

from ...chain import ChainSettings
from .plan import DROPPED, EXACT, IMPULSE, PATHS, STATIC, Export, as_compressor, bands, played, reverb_files

TYPES = {"low_shelf": "Lowshelf", "peak": "Peaking", "high_shelf": "Highshelf"}
SUM_DB = 6.0206
"""By how much the sum of two equal channels is louder than one."""
MAX_FACTOR = 1000.0


def write(settings: ChainSettings, name: str, sample_rate: float) -> Export:
    """Write NAME.yml, whose devices are standard input and output, and a WAV file for each path of a reverb."""
    made = Export({f"{name}.yml": b""})
    filters: dict[str, Any] = {}
    processors: dict[str, Any] = {}
    mixers: dict[str, Any] = {}
    pipeline: list[dict[str, Any]] = []

    def both(names: list[str]) -> None:
        if names:
            pipeline.append({"type": "Filter", "channels": [0, 1], "names": names})

    def gain(key: str, gain_db: float) -> None:
        if gain_db != 0.0:
            filters[key] = {"type": "Gain", "parameters": {"gain": gain_db, "scale": "dB"}}
            both([key])

    gain("input_gain", settings.input_gain_db)
    for each in played(settings):
        values = each.values
        if each.effect == "equaliser":
            found = {f"equaliser_{band.name}": band for band in bands(values)}
            for key, band in found.items():
                parameters = {"type": TYPES[band.kind], "freq": band.hz, "gain": band.gain_db, "q": band.q}
                filters[key] = {"type": "Biquad", "parameters": parameters}
            both(list(found))
            made.say(each.effect, EXACT)
        elif each.effect == "gain":
            gain("gain", values["gain_db"])
            made.say(each.effect, EXACT)
        elif each.effect in ("compressor", "limiter"):
            processors[each.effect] = {"type": "Compressor", "parameters": _compressor(as_compressor(each))}
            pipeline.append({"type": "Processor", "name": each.effect})
            made.say(each.effect, STATIC, "for equal channels; hard knee, and it follows the level, not the gain")
        elif each.effect == "reverb":
            files = reverb_files(name, each, sample_rate)
            made.files |= files
            for path, file in zip(PATHS, files, strict=True):
                filters[f"reverb_{path}"] = {"type": "Conv", "parameters": {"type": "Wav", "filename": file}}
            mixers["reverb_split"] = _mixer(2, [[0], [0], [1], [1]])
            mixers["reverb_join"] = _mixer(4, [[0, 2], [1, 3]])
            pipeline.append({"type": "Mixer", "name": "reverb_split"})
            pipeline += [{"type": "Filter", "channels": [i], "names": [f"reverb_{p}"]} for i, p in enumerate(PATHS)]
            pipeline.append({"type": "Mixer", "name": "reverb_join"})
            made.say(each.effect, IMPULSE, f"four files at {sample_rate:g} Hz")
        else:
            made.say(each.effect, DROPPED, "CamillaDSP has none")
    gain("output_gain", settings.output_gain_db)
    device = {"channels": 2, "format": "F32_LE"}
    config: dict[str, Any] = {
        "title": name,
        "description": "Written by afx-live; put your devices in the place of standard input and output.",
        "devices": {
            "samplerate": int(sample_rate),
            "chunksize": 1024,
            "capture": {"type": "Stdin", **device},
            "playback": {"type": "Stdout", **device},
        },
    }
    parts = {"filters": filters, "mixers": mixers, "processors": processors, "pipeline": pipeline}
    config |= {key: part for key, part in parts.items() if part}
    made.files[f"{name}.yml"] = (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()
    return made


def _compressor(values: Mapping[str, float]) -> dict[str, Any]:
    return {
        "channels": 2,
        "attack": values["attack_ms"] / 1000,
        "release": values["release_ms"] / 1000,
        "threshold": values["threshold_db"] + SUM_DB,
        "factor": min(values["ratio"], MAX_FACTOR),
        "makeup_gain": values["makeup_db"],
    }


def _mixer(inputs: int, sources: list[list[int]]) -> dict[str, Any]:
    mapping = [{"dest": i, "sources": [{"channel": c, "gain": 0.0} for c in each]} for i, each in enumerate(sources)]
    return {"channels": {"in": inputs, "out": len(sources)}, "mapping": mapping}
