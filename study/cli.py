"""`afx-study`: measure how well models transfer effects."""

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-study", allow_abbrev=False, description="Measure how effects are transferred."
    )
    commands = p.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    shared.add_argument("--folder", required=True, help="folder of recordings")
    shared.add_argument("--layout", default="auto", help="how it is laid out, as in afx-train (default: auto)")
    shared.add_argument("--config", type=Path, help="training config with what is held out (default: a tenth)")
    shared.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    shared.add_argument("-n", type=int, default=60, help="pairs of each effect and mode (default: 60)")
    shared.add_argument("--seed", type=int, default=7)
    shared.add_argument("--workers", type=int, default=2)
    t = commands.add_parser(
        "transfer", allow_abbrev=False, parents=[shared],
        help="score a model effect by effect beside simple systems, on the test recordings",
    )  # fmt: skip
    t.add_argument(
        "-o", "--output", type=Path, default=Path("runs/transfer.jsonl"), help="rows; a run goes on from them"
    )
    commands.add_parser(
        "calibrate", allow_abbrev=False, parents=[shared],
        help="choose a model's thresholds by rendering, on the validation recordings, and write them into it",
    )  # fmt: skip
    return p


def main(arguments: list[str] | None = None) -> None:
    """Run afx-study. Exit codes: 0 done, 2 usage, 4 recordings, 5 model."""
    a = parser().parse_args(arguments)
    try:
        import yaml

        from ..realtime.commands import SHIPPED
        from ..realtime.predictor import ModelError
        from ..training.data import held_out_of
        from ..training.recordings import find
    except ImportError as error:
        sys.exit(f"afx-study: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")
    from .calibrate import calibrate
    from .transfer import run, table

    try:
        data = yaml.safe_load(a.config.read_text())["data"] if a.config else {}
        validation, test = held_out_of(find(a.folder, a.layout), data.get("held_out", ()), data.get("test", ()))
        if a.command == "calibrate":
            print(calibrate(validation, a.model or SHIPPED, a.n, a.seed, a.workers))
        else:
            print(table(run(test or validation, a.model or SHIPPED, a.output, a.n, a.seed, a.workers)))
    except ModelError as error:
        _stop(5, error)
    except (OSError, ValueError, KeyError) as error:
        _stop(4, error)


def _stop(code: int, error: Exception) -> None:
    print(f"afx-study: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
