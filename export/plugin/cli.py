"""`afx-export plugin`: a preset as a plug-in for other programs."""

import argparse
from pathlib import Path

from ...native.build import ToolError
from ...presets import PresetError, load
from .bundle import PLAYER, make_plugin


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-export plugin",
        allow_abbrev=False,
        description="Compile a preset into an LV2 or CLAP plug-in, mono and stereo, that needs no Python.",
        epilog="Exit codes: 0 done, 2 usage, 5 a preset or a tool: what is missing is named. Needs a C compiler.",
    )
    p.add_argument("preset", nargs="?", help="name or file of a preset or a saved match (default: a chain at rest)")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="NAME.lv2 or NAME.clap")
    p.add_argument("--name", help="the plug-in's name (default: that of OUT)")
    p.add_argument("--force", action="store_true", help="replace OUT")
    return p


def main(arguments: list[str]) -> tuple[int, str]:
    """Make a plug-in; returns the exit code and what there is to say."""
    a = parser().parse_args(arguments)
    try:
        preset = load(a.preset) if a.preset else PLAYER
        return 0, str(make_plugin(preset, a.output, a.name, a.force))
    except FileExistsError as error:
        return 2, str(error)
    except (ToolError, PresetError) as error:
        return 5, str(error)
    except OSError as error:
        return 5, f"{error.filename or a.output}: {error.strerror}" if error.strerror else str(error)
    except ValueError as error:
        return 2, str(error)
