"""Compile a plug-in and put its files together: a folder for LV2, one file for CLAP."""

import json
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...chain import ChainSettings
from ...chain.numbered import order, parameters, path_values, playing_order
from ...files.distinct import SameFileError, check_replaced
from ...files.streams import shown
from ...native.build import SOURCES, kit, link
from ...native.meters import METER_LABELS, METER_RANGE_DB
from ...presets import Preset
from ...presets.lv2_writer import ORDER, slug, uri
from .turtle import about, turtle

HERE = Path(__file__).resolve().parent
FORMATS = {".lv2": "lv2_descriptor", ".clap": "clap_entry"}
"""The kinds of plug-in, by the ending of their name, and the symbol that hosts look up."""


def make_plugin(preset: Preset, out: Path, name: str | None = None, force: bool = False) -> Path:
    """Write a plug-in that opens with a preset; its kind is told by the ending of `out`, .lv2 or .clap.

    Raises ValueError for another ending, FileExistsError without `force`, SameFileError for what is no plug-in and
    would be replaced, ToolError without a C compiler or if it fails, OSError for what cannot be written. Half a minute
    the first time, then a second.
    """
    if out.suffix not in FORMATS:
        raise ValueError(f"{out}: a plug-in's name ends in {' or '.join(FORMATS)}")
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists; add --force to replace it, or choose another name")
    if out.suffix == ".lv2":
        check_replaced(out, "manifest.ttl", "LV2 plug-in")
    elif out.is_dir():
        raise SameFileError(f"{shown(out)} is a folder, and a CLAP plug-in is a file: choose another name")
    name = name or out.stem
    made_from = kit()
    with tempfile.TemporaryDirectory(dir=_folder(out)) as temporary:
        work = Path(temporary)
        (work / "plugin_preset.h").write_text(_header(preset, name))
        bundle = work / "bundle"
        bundle.mkdir()
        library = bundle / f"{slug(name)}.so"
        source = HERE / f"{out.suffix[1:]}.c"
        link([source, *SOURCES], [made_from], library, [FORMATS[out.suffix]], [f"-I{work}", f"-I{HERE}"])
        if out.suffix == ".lv2":
            for file, words in turtle(preset, name, library.name).items():
                (bundle / file).write_text(words, encoding="utf-8")
        _put(bundle if out.suffix == ".lv2" else library, out)
    return out


def _folder(out: Path) -> Path:
    """Give the folder to write into, which must be there: a typing error makes no folders."""
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: there is no such folder")
    return out.parent


def _put(made: Path, out: Path) -> None:
    """Give what was made its name; what was there is replaced whole."""
    made.chmod(0o755)
    if out.is_dir() and not out.is_symlink():
        shutil.rmtree(out)
    made.replace(out)


def _header(preset: Preset, name: str) -> str:
    """Write what the shells in C are told: names, and the preset's values."""
    values = path_values(preset.settings, preset.amount)
    playing = [order().index(effect) for effect in playing_order(preset.settings)]
    strings = {
        "PLUGIN_URI_STEREO": uri(name),
        "PLUGIN_URI_MONO": uri(name, 1),
        "PLUGIN_ORDER": ORDER,
        "PLUGIN_ID": f"afx-live.{slug(name)}",
        "PLUGIN_NAME": name,
        "PLUGIN_VENDOR": "afx-live",
        "PLUGIN_VERSION": _version(),
        "PLUGIN_TEXT": about(preset),
    }
    low, high = METER_RANGE_DB
    labels = ", ".join(map(json.dumps, METER_LABELS.values()))
    lines = [f"#define {key} {json.dumps(text, ensure_ascii=False)}" for key, text in strings.items()]
    bypass = next(q.number for q in parameters() if q.path == "bypass")
    numbers = ", ".join(repr(float(values[q.path])) for q in parameters())
    return "\n".join(
        [
            *lines,
            f"#define PLUGIN_METER_LOW_DB {low!r}",
            f"#define PLUGIN_METER_HIGH_DB {high!r}",
            f"enum {{ PLUGIN_BYPASS = {bypass} }};",
            f"static const double plugin_values[] = {{{numbers}}};",
            f"static const char *const plugin_meters[] __attribute__((unused)) = {{{labels}}};",
            f"static const int plugin_order[] = {{{', '.join(map(str, playing))}}};",
            "static inline void plugin_preset(afx *a) {",
            "    for (int i = 0; i < afx_param_count(); i++)",
            "        afx_set(a, i, plugin_values[i]);",
            "    afx_set_order(a, plugin_order, afx_effect_count());",
            "}",
            "",
        ]
    )


def _version() -> str:
    try:
        return version("afx-live")
    except PackageNotFoundError:
        return "0"


NEUTRAL = Preset("afx-live", ChainSettings())
"""What a plug-in opens with that is made without a preset: nothing is done to the sound."""
