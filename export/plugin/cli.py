"""`afx-export plugin`: a preset as a plug-in for other programs."""

import argparse
from pathlib import Path

from ...files.distinct import Named, check_distinct
from ...matching import ClipError, MatchModel, ModelError, match_clip, read_clip, read_reference
from ...native.build import ToolError
from ...presets import SHIPPED_MODEL, Preset, PresetError, fitting_name, load
from .bundle import NEUTRAL, make_plugin


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-export plugin",
        allow_abbrev=False,
        description="Compile a preset into an LV2 or CLAP plug-in, mono and stereo, that needs no Python.",
        epilog="Exit codes: 0 done, 2 usage, 4 unusable recording, 5 unusable preset or missing tool. "
        "Needs a C compiler.",
    )
    p.add_argument(
        "preset",
        nargs="?",
        help="name or file of a preset or saved match (default: one that does nothing); with --reference, a recording",
    )
    p.add_argument(
        "-r",
        "--reference",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="match the recording to this one (may be given several times) and make a plug-in of what is found",
    )
    p.add_argument("--model", type=Path, metavar="FOLDER", help="model that matches (default: the shipped one)")
    p.add_argument(
        "--amount", type=float, default=1.0, metavar="0..1",
        help="how much of the match to use, with --reference (default: %(default)g)",
    )  # fmt: skip
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="NAME.lv2 or NAME.clap")
    p.add_argument("--name", help="the plug-in's name (default: that of OUT)")
    p.add_argument("--force", action="store_true", help="replace OUT")
    return p


def _matched(recording: str | None, references: list[Path], model: Path | None, amount: float, name: str) -> Preset:
    """Match a recording to references. Raises ClipError, ModelError, ValueError."""
    if recording is None:
        raise ValueError("--reference needs a recording to match: afx-export plugin in.wav --reference ref.wav -o OUT")
    if not 0.0 <= amount <= 1.0:
        raise ValueError(f"--amount: {amount:g} is not in [0, 1]")
    loaded = MatchModel(model or SHIPPED_MODEL)
    heard = [read_reference(path, loaded) for path in references]
    found = match_clip(read_clip(Path(recording)), loaded, heard, amount)
    return found.preset(fitting_name(name, "match"))


def main(arguments: list[str]) -> tuple[int, str]:
    """Make a plug-in; returns the exit code and what there is to say."""
    a = parser().parse_args(arguments)
    named = [Named("a reference", path) for path in a.reference]
    named += [Named("the input", Path(a.preset))] if a.preset and Path(a.preset).is_file() else []
    try:
        check_distinct([*named, Named("the plug-in", a.output, True)])
        if a.reference:
            preset = _matched(a.preset, a.reference, a.model, a.amount, a.name or a.output.stem)
        else:
            preset = load(a.preset) if a.preset else NEUTRAL
        return 0, str(make_plugin(preset, a.output, a.name, a.force))
    except FileExistsError as error:
        return 2, str(error)
    except (ToolError, PresetError, ModelError) as error:
        return 5, str(error)
    except ClipError as error:
        return 4, str(error)
    except OSError as error:
        return 5, f"{error.filename or a.output}: {error.strerror}" if error.strerror else str(error)
    except ValueError as error:
        return 2, str(error)
