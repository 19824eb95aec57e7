"""`afx-study`: measure how well models transfer effects."""

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-study", allow_abbrev=False, description="Measure how well effects are transferred."
    )
    commands = p.add_subparsers(dest="command", required=True)
    t = commands.add_parser(
        "transfer",
        allow_abbrev=False,
        help="score a model effect by effect beside simple systems, on held-out recordings",
    )
    t.add_argument("--folder", required=True, help="folder of recordings")
    t.add_argument("--layout", default="auto", help="how it is laid out, as in afx-train (default: auto)")
    t.add_argument("--config", type=Path, help="training config whose data.test (or held_out) is used (default: a tenth by hash)")
    t.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    t.add_argument("-n", type=int, default=60, help="pairs of each effect and mode (default: 60)")
    t.add_argument("--seed", type=int, default=7)
    t.add_argument("--workers", type=int, default=2)
    t.add_argument(
        "-o", "--output", type=Path, default=Path("runs/transfer.jsonl"), help="rows; a run goes on from them"
    )
    return p


def main(arguments: list[str] | None = None) -> None:
    """Run afx-study. Exit codes: 0 done, 2 usage, 4 recordings, 5 model."""
    a = parser().parse_args(arguments)
    try:
        import yaml

        from ..realtime.commands import SHIPPED
        from ..realtime.predictor import ModelError
        from ..training.recordings import find, split
    except ImportError as error:
        sys.exit(f"afx-study: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")
    from .transfer import run, table

    try:
        data = yaml.safe_load(a.config.read_text())["data"] if a.config else {}
        patterns = data.get("test") or data.get("held_out") or ()
        _, held_out = split(find(a.folder, a.layout), patterns)
        print(table(run(held_out, a.model or SHIPPED, a.output, a.n, a.seed, a.workers)))
    except ModelError as error:
        _stop(5, error)
    except (OSError, ValueError, KeyError) as error:
        _stop(4, error)


def _stop(code: int, error: Exception) -> None:
    print(f"afx-study: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
