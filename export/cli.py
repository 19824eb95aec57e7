"""`afx-export`: from a checkpoint to a model folder, proved before it is written; from a preset to a plug-in."""

import argparse
import sys
from pathlib import Path

from ..files.streams import make_safe


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-export",
        allow_abbrev=False,
        description="Write a trained model as a folder for afx-live (ONNX, with proof clips), or prove one again.",
        epilog="afx-export plugin --help: a preset as an LV2 or CLAP plug-in. "
        "Exit codes: 0 done, 1 the proof failed, 2 usage, 5 unusable checkpoint or model folder.",
    )
    p.add_argument("--checkpoint", type=Path, metavar="FILE", help="checkpoint that afx-train wrote (runs/…/best.ckpt)")
    p.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="model folder to write")
    p.add_argument("--name", help="the model's name (default: the folder's)")
    p.add_argument("--licence", default="Apache-2.0", help="SPDX id of the weights' licence (default: %(default)s)")
    p.add_argument("--force", action="store_true", help="write over an existing model folder")
    p.add_argument("--check", type=Path, metavar="FOLDER", help="run the proof clips of a model folder again")
    p.add_argument("--provider", default="cpu", choices=("cpu", "cuda"), help="where --check runs (default: cpu)")
    return p


def main(arguments: list[str] | None = None) -> None:
    """Run `afx-export --checkpoint C -o FOLDER`, `afx-export --check FOLDER` or `afx-export plugin …`."""
    if arguments is None:
        make_safe()
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["plugin"]:
        from .plugin.cli import main as plugin

        code, said = plugin(words[1:])
        if code:
            _stop(code, said)
        print(said)
        return
    p = parser()
    a = p.parse_args(words)
    if a.check and not a.checkpoint:
        from .model.proof import ProofError, check

        try:
            print(check(a.check, a.provider))
        except ProofError as error:
            _stop(1, error)
        except (ValueError, OSError) as error:
            _stop(5, error)
        return
    if not (a.checkpoint and a.output) or a.check:
        p.error("give --checkpoint FILE -o FOLDER, or --check FOLDER")
    from .model.proof import ProofError
    from .model.write import write

    try:
        print(write(a.checkpoint, a.output, a.name or a.output.name, a.licence, a.force))
    except ProofError as error:
        _stop(1, error)
    except (ValueError, OSError) as error:
        _stop(getattr(error, "exit_code", 5), error)


def _stop(code: int, error: Exception | str) -> None:
    print(f"afx-export: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
