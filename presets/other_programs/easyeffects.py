"""EasyEffects 7 and 8 (https://github.com/wwmm/easyeffects): a JSON file, and reverbs as files of its convolver.

Its filters are those of the LSP plug-ins. Bands of the kind "APO (DR)" are the cookbook's; the others are not.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...chain import ChainSettings
from ...effects.equaliser import Band
from .plan import DROPPED, EXACT, IMPULSE, STATIC, Export, as_compressor, bands, impulse_responses, number, played, wav

TYPES = {"low_shelf": "Lo-shelf", "peak": "Bell", "high_shelf": "Hi-shelf"}
GAIN_DB = 36.0
"""More it takes nowhere, in either direction."""
RATIO, THRESHOLD_DB, KNEE_DB = 100.0, -60.0, -24.0
"""The ends of its compressor's ranges."""
OFF_DB = -80.01


def write(settings: ChainSettings, name: str, sample_rate: float, pipeline: str = "output") -> Export:
    """Write NAME.json for the pipeline of the output or of the "input", a microphone, and NAME-reverb.wav."""
    made = Export({f"{name}.json": b""})
    plugins: dict[str, dict[str, Any]] = {}
    for each in played(settings):
        values = each.values
        if each.effect == "equaliser":
            plugins[_instance(plugins, "equalizer")] = _equalizer(bands(values))
            made.say(each.effect, EXACT)
        elif each.effect in ("compressor", "limiter"):
            plugin, note = _compressor(as_compressor(each))
            plugins[_instance(plugins, "compressor")] = plugin
            made.say(each.effect, STATIC, note)
        elif each.effect == "reverb":
            responses = impulse_responses(each, sample_rate)
            made.files[f"{name}-reverb.wav"] = wav(responses, sample_rate)
            plugins["convolver#0"] = {
                **_plain(), "kernel-name": f"{name}-reverb", "ir-width": 100, "autogain": False, "dry": OFF_DB,
                "wet": 0.0,
            }  # fmt: skip
            made.say(each.effect, IMPULSE, "four channels, which EasyEffects 8 takes; 7 knows two")
        elif each.effect == "gain":
            _put_gain(plugins, values["gain_db"])
            made.say(each.effect, EXACT)
        else:
            made.say(each.effect, DROPPED, "EasyEffects has none like it")
    if not plugins:
        plugins["equalizer#0"] = _equalizer([])
    instances = list(plugins.values())
    for plugin, side, gain_db in (
        (instances[0], "input-gain", settings.input_gain_db),
        (instances[-1], "output-gain", settings.output_gain_db),
    ):
        total = plugin[side] + gain_db
        plugin[side] = min(max(total, -GAIN_DB), GAIN_DB)
        if abs(total) > GAIN_DB:
            made.say(
                side.replace("-", " "), DROPPED, f"{number(total - plugin[side])} dB of it: the most is {GAIN_DB:g} dB"
            )
    data = {pipeline: {"blocklist": [], "plugins_order": list(plugins), **plugins}}
    made.files[f"{name}.json"] = (json.dumps(data, indent=4, ensure_ascii=False) + "\n").encode()
    return made


def _instance(plugins: dict[str, dict[str, Any]], kind: str) -> str:
    """Name one more plug-in of a kind."""
    return f"{kind}#{sum(key.startswith(kind) for key in plugins)}"


def _plain() -> dict[str, Any]:
    return {"bypass": False, "input-gain": 0.0, "output-gain": 0.0}


def _put_gain(plugins: dict[str, dict[str, Any]], gain_db: float) -> None:
    """Let the plug-in before it, or an equaliser of no bands, turn it up."""
    if not plugins:
        plugins["equalizer#0"] = _equalizer([])
    last = list(plugins.values())[-1]
    last["output-gain"] += gain_db


def _equalizer(found: list[Band]) -> dict[str, Any]:
    found = found or [Band("peak", 1000.0, 0.0, 1.0)]
    channel = {
        f"band{i}": {
            "type": TYPES[band.kind],
            "mode": "APO (DR)",
            "slope": "x1",
            "solo": False,
            "mute": False,
            "gain": band.gain_db,
            "frequency": band.hz,
            "q": band.q,
            "width": 4.0,
        }
        for i, band in enumerate(found)
    }
    return {
        **_plain(), "mode": "IIR", "decramp": "Off", "num-bands": len(found), "split-channels": False, "balance": 0.0,
        "pitch-left": 0.0, "pitch-right": 0.0, "left": channel, "right": channel,
    }  # fmt: skip


def _compressor(values: Mapping[str, float]) -> tuple[dict[str, Any], str]:
    note = "attack and release act on the level, not on the gain in dB"
    if values["ratio"] > RATIO:
        note = f"ratio {RATIO:g} in the place of no end; {note}"
    return {
        **_plain(),
        "mode": "Downward",
        "attack": values["attack_ms"],
        "release": values["release_ms"],
        "release-threshold": OFF_DB,
        "threshold": max(values["threshold_db"], THRESHOLD_DB),
        "ratio": min(values["ratio"], RATIO),
        "knee": max(-0.5 * values["knee_db"], KNEE_DB),
        "makeup": values["makeup_db"],
        "boost-threshold": -72.0,
        "boost-amount": 0.0,
        "stereo-split": False,
        "dry": OFF_DB,
        "wet": 0.0,
        "hpf-mode": "Off",
        "hpf-frequency": 10.0,
        "lpf-mode": "Off",
        "lpf-frequency": 20000.0,
        "sidechain": {
            "type": "Feed-forward",
            "mode": "Peak",
            "source": "Max",
            "stereo-split-source": "Left/Right",
            "preamp": 0.0,
            "reactivity": 0.0,
            "lookahead": 0.0,
        },
    }, note


def places(name: str, pipeline: str = "output") -> dict[str, list[Path]]:
    """Tell where EasyEffects looks: for presets and for impulse responses; version 8 first, then version 7."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "easyeffects"
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "easyeffects"
    flatpak = Path.home() / ".var/app/com.github.wwmm.easyeffects"
    homes = [data, config, flatpak / "data/easyeffects", flatpak / "config/easyeffects"]
    there = [home for home in homes if home.is_dir()] or [data]
    return {
        f"{name}.json": [home / pipeline / f"{name}.json" for home in there],
        f"{name}-reverb.wav": [home / "irs" / f"{name}-reverb.irs" for home in there],
    }
