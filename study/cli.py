"""`afx-study`: measure how well models transfer effects."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
RUNS = Path("runs/study")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-study",
        allow_abbrev=False,
        description="Measure how effects are transferred.",
        epilog="exit codes: 0 done, 1 a bug, 2 usage or plan, 4 recordings or rows, 5 model",
    )
    commands = p.add_subparsers(dest="command", required=True)
    found = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    found.add_argument("--folder", required=True, help="folder of recordings")
    found.add_argument("--layout", default="auto", help="how it is laid out, as in afx-train (default: auto)")
    found.add_argument("--config", type=Path, help="training config with what is held out (default: a tenth)")
    found.add_argument("--seed", type=int, default=7)
    trained = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    trained.add_argument("--models", type=Path, default=RUNS, help=f"folder of the trainings (default: {RUNS})")

    _run(
        commands.add_parser(
            "run",
            allow_abbrev=False,
            parents=[found, trained],
            help="ask every system of a plan about every pair; goes on where a run was cut off",
        )
    )
    r = commands.add_parser(
        "report", allow_abbrev=False, parents=[trained], help="write one page, and its Markdown twin, from rows"
    )
    r.add_argument("rows", nargs="+", type=Path, metavar="ROWS", help="folders of runs, or files of rows")
    r.add_argument("-o", "--output", type=Path, default=Path("REPORT.html"), help="page; .md beside it (REPORT.html)")
    r.add_argument("--findings", type=Path, help="Markdown that opens the page (default: docs/study_findings.md)")
    r.add_argument("--probe", type=Path, help="result of afx-study probe (default: probe.json beside the rows)")
    b = commands.add_parser(
        "probe", allow_abbrev=False, parents=[found, trained], help="ask what style encoders hear, by linear probes"
    )
    b.add_argument("-o", "--output", type=Path, default=RUNS / "rows" / "probe.json", help="result, as JSON")
    b.add_argument("--clips", type=int, nargs=2, default=(300, 100), metavar=("TRAIN", "TEST"), help="(300 100)")
    _smallest(
        commands.add_parser(
            "smallest",
            allow_abbrev=False,
            parents=[found],
            help="train one method on one pair of effects, measure it and write its report, in under an hour",
        )
    )

    c = commands.add_parser(
        "calibrate",
        allow_abbrev=False,
        parents=[found],
        help="choose a model's thresholds by rendering, on the validation recordings, and write them into it",
    )
    c.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    c.add_argument("-n", type=int, default=60, help="pairs of each effect and mode (default: 60)")
    c.add_argument(
        "--strengths",
        type=float,
        nargs="+",
        default=[0.5, 1.0],
        metavar="S",
        help="how far an effect may go, 0 to 1; one takes a third of the time of two (0.5 1)",
    )
    c.add_argument("--scores", type=Path, help="file of what was rendered: kept there, or taken from there (.npz)")
    c.add_argument("--workers", type=int, default=2)
    return p


def _run(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", type=Path, default=RUNS / "rows", help=f"folder of rows (default: {RUNS}/rows)")
    p.add_argument("--plan", type=Path, help="plan of cells (default: study/plan.yaml)")
    p.add_argument("-n", type=int, default=0, help="at most so many pairs of each cell (default: the plan's)")
    p.add_argument("--systems", nargs="+", default=[], metavar="NAME", help="only these; NAME is all masks of it too")
    for axis, kind in (("generator", str), ("row", str), ("mode", str), ("kind", str), ("sample-rate", int)):
        p.add_argument(f"--{axis}", nargs="+", type=kind, default=[], help="only these cells of the plan")
    p.add_argument("--intensity", nargs="+", type=float, default=[], help="only these cells of the plan")
    p.add_argument("--metrics", nargs="+", default=[], metavar="NAME", help="measure only these, four times as fast")
    p.add_argument("--retry", action="store_true", help="compute rows that failed once more")
    p.add_argument("--examples", action="store_true", help="render a few examples for the report, of our own clips")
    p.add_argument("--list", action="store_true", help="only say how many rows there are to compute")
    trainer = p.add_argument_group("Lightning's Trainer, as in afx-train (processes, each of one thread)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    trainer.add_argument("--devices", "--trainer.devices", default=str(cores), help=f"(default: all, {cores} here)")
    trainer.add_argument("--num-nodes", "--trainer.num_nodes", type=int, default=1)
    trainer.add_argument("--strategy", "--trainer.strategy", default="auto", help="ddp, ddp_spawn, …")
    trainer.add_argument("--accelerator", "--trainer.accelerator", default="cpu", help="(default: cpu)")


def _smallest(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", type=Path, default=Path("runs/smallest"), help="folder (default: runs/smallest)")
    p.add_argument("--minutes", type=float, default=15.0, help="of processor time for training (default: 15)")
    p.add_argument("--renders", type=int, default=600, help="pairs rendered to train on (default: 600)")
    p.add_argument("-n", type=int, default=20, help="pairs of each cell (default: 20)")


def main(arguments: list[str] | None = None) -> None:
    """Run afx-study. Exit codes: see the help."""
    a = parser().parse_args(arguments)
    if a.command in ("run", "probe", "smallest"):
        for name in THREADS:  # before numpy comes in: processes share the cores, threads would fight for them
            os.environ.setdefault(name, "1")
    try:
        import lightning  # noqa: F401

        from ..matching import ModelError
    except ImportError as error:
        sys.exit(f"afx-study: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")
    try:
        _COMMANDS[a.command](a)
    except ModelError as error:
        _stop(5, error)
    except PlanError as error:
        _stop(2, error)
    except (OSError, ValueError, KeyError) as error:
        _stop(4, error)


class PlanError(ValueError):
    """What was asked for is not in the plan, or not in the study (exit code 2)."""


def _recordings(a: argparse.Namespace):
    """Give the recordings for validation and those for nothing but the study; without the latter, the former."""
    import yaml

    from ..training.datamodules import held_out_of
    from ..training.recordings.recordings import find

    data = yaml.safe_load(a.config.read_text())["data"] if a.config else {}
    validation, test = held_out_of(find(a.folder, a.layout), data.get("held_out", ()), data.get("test", ()))
    return validation, test or validation


def _do_run(a: argparse.Namespace) -> None:
    from .metrics.measure import METRICS
    from .pairs.generators import GENERATORS
    from .run import plan
    from .run.run import Study, run, systems_asked
    from .systems.registry import NAMES

    if unknown := [m for m in a.metrics if m not in METRICS]:
        raise PlanError(f"--metrics: {unknown[0]!r} is none of {', '.join(METRICS)}")
    wanted = {axis: getattr(a, axis) for axis in plan.AXES}
    try:
        systems_asked(a.systems)
        cells = plan.expand(plan.load(a.plan or plan.DEFAULT), {k: g.rows for k, g in GENERATORS.items()}, NAMES)
        cells = plan.only(cells, wanted, a.systems, a.n)
    except ValueError as error:
        raise PlanError(error) from None
    study = Study(_recordings(a)[1], a.models, a.output, cells, a.seed, a.retry, tuple(a.metrics))
    if a.list:
        from .run.rows import read_folder

        left = study.missing(read_folder(a.output))
        print(f"{sum(len(t.systems) for t in left)} of {plan.size(cells)} rows to compute, of {len(left)} pairs")
        return
    run(study, a.devices, a.num_nodes, a.strategy, a.accelerator)
    if a.examples and not os.environ.get("LOCAL_RANK"):  # another process of this run has returned by then as well
        from .report.examples import render

        render(a.models, a.output / "examples")


def _do_report(a: argparse.Namespace) -> None:
    from .report.report import write

    for path in write(a.rows, a.output, a.models, a.findings, a.probe):
        print(path)


def _do_probe(a: argparse.Namespace) -> None:
    from .run.linear_probe import probe, summary

    validation, test = _recordings(a)
    known = list(dict.fromkeys([*validation, *test]))
    train, test = a.clips
    print(summary(probe(known, a.models, a.output, train, test, a.seed)))


def _do_smallest(a: argparse.Namespace) -> None:
    from .run.quickstart import smallest

    for path in smallest(a.folder, a.layout, a.config, a.output, a.minutes, a.renders, a.n, a.seed):
        print(path)


def _do_calibrate(a: argparse.Namespace) -> None:
    from ..presets import SHIPPED_MODEL
    from .run.calibrate import calibrate

    print(calibrate(_recordings(a)[0], a.model or SHIPPED_MODEL, a.n, a.seed, a.workers, (0.0, *a.strengths), a.scores))


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "run": _do_run,
    "report": _do_report,
    "probe": _do_probe,
    "smallest": _do_smallest,
    "calibrate": _do_calibrate,
}


def _stop(code: int, error: Exception) -> None:
    print(f"afx-study: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
