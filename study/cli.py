"""`afx-study`: measure how well models transfer effects."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ..files.streams import make_safe

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
RUNS = Path("runs/study")
FINDINGS = Path("docs/study_findings.md")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-study",
        allow_abbrev=False,
        description="Measure how well models transfer effects.",
        epilog="Exit codes: 0 done, 1 a bug, 2 usage or plan, 4 recordings or rows, 5 model.",
    )
    commands = p.add_subparsers(dest="command", required=True)
    recordings = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recordings.add_argument("--folder", required=True, help="folder of recordings, or several, separated by commas")
    recordings.add_argument(
        "--layout", default="auto", help="auto, folder, folders, libritts, vctk or musdb18 (default: auto)"
    )
    recordings.add_argument("--config", help="training config that names what is held out (default: a tenth)")
    recordings.add_argument("--seed", type=int, default=7, help="random seed (default: 7)")
    trainings = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    trainings.add_argument("--models", type=Path, default=RUNS, help=f"folder of the trainings (default: {RUNS})")

    def command(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, allow_abbrev=False, parents=parents, help=text, description=text)

    _quickstart(command("quickstart", "train one method, evaluate it and report, in under an hour", recordings))
    command("train", "train a method: fit|validate --config METHOD.yaml --data.folder FOLDER, as in afx-train")
    _run(command("run", "run every system of a plan on every pair; continues an earlier run", recordings, trainings))
    _report(command("report", "write an HTML page and its Markdown twin from rows", trainings))
    _linear_probe(
        command("linear-probe", "measure what encoders know about style, with linear probes", recordings, trainings)
    )
    _calibrate(
        command(
            "calibrate",
            "choose, on validation recordings, how readily a model uses each effect; write that into it",
            recordings,
        )
    )
    return p


def _quickstart(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-o", "--output", type=Path, default=Path("runs/quickstart"), help="folder (default: runs/quickstart)"
    )
    p.add_argument("--minutes", type=float, default=15.0, help="processor time for training (default: 15)")
    p.add_argument("--renders", type=int, default=600, help="pairs rendered to train on (default: 600)")
    p.add_argument(
        "-n", type=int, default=20, help="pairs of each cell, an effect set with a kind of reference (default: 20)"
    )


def _run(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", type=Path, default=RUNS / "rows", help=f"folder of rows (default: {RUNS}/rows)")
    p.add_argument("--plan", type=Path, help="plan of cells (default: study/run/plan.yaml)")
    p.add_argument("-n", type=int, default=0, help="at most this many pairs of each cell (default: the plan's)")
    p.add_argument("--systems", nargs="+", default=[], metavar="NAME", help="only these systems")
    for flags, kind in (
        (("--generator",), str),
        (("--effect-set", "--row"), str),
        (("--mode",), str),
        (("--kind",), str),
        (("--sample-rate",), int),
        (("--intensity",), float),
    ):
        p.add_argument(*flags, nargs="+", type=kind, default=[], help="only these cells of the plan")
    p.add_argument("--metrics", nargs="+", default=[], metavar="NAME", help="only these metrics: up to 4 times as fast")
    p.add_argument("--retry", action="store_true", help="compute failed rows again")
    p.add_argument("--examples", action="store_true", help="render examples of bundled clips for the report, too")
    p.add_argument("--list", action="store_true", help="only count the rows that are left to compute")
    trainer = p.add_argument_group("Lightning's Trainer, as in afx-train (processes of one thread each)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    trainer.add_argument("--devices", "--trainer.devices", default=str(cores), help=f"(default: all, {cores} here)")
    trainer.add_argument("--num-nodes", "--trainer.num_nodes", type=int, default=1)
    trainer.add_argument("--strategy", "--trainer.strategy", default="auto", help="ddp, ddp_spawn, …")
    trainer.add_argument("--accelerator", "--trainer.accelerator", default="cpu", help="(default: cpu)")


def _report(p: argparse.ArgumentParser) -> None:
    p.add_argument("rows", nargs="+", type=Path, metavar="ROWS", help="folders of runs, or files of rows")
    p.add_argument("-o", "--output", type=Path, default=Path("REPORT.html"), help="page; .md beside it (REPORT.html)")
    p.add_argument("--findings", type=Path, help=f"Markdown that opens the page (default: {FINDINGS}, if it exists)")
    p.add_argument("--probe", type=Path, help="result of linear-probe (default: probe.json beside the rows)")


def _linear_probe(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", type=Path, default=RUNS / "rows" / "probe.json", help="result, as JSON")
    p.add_argument("--clips", type=int, nargs=2, default=(300, 100), metavar=("TRAIN", "TEST"), help="(300 100)")


def _calibrate(p: argparse.ArgumentParser) -> None:
    p.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    p.add_argument("-n", type=int, default=60, help="pairs of each effect set and mode (default: 60)")
    p.add_argument("--scores", type=Path, help="file (.npz) that keeps the results of rendering, to choose again")
    p.add_argument("--workers", type=int, default=2, help="processes (default: 2)")


def main(arguments: list[str] | None = None) -> None:
    """Run afx-study. Exit codes: see the help."""
    if arguments is None:
        make_safe()
    given = sys.argv[1:] if arguments is None else arguments
    training = given[1:] if given[:1] == ["train"] else None  # the rest is for Lightning's command line
    a = argparse.Namespace(command="train") if training is not None else parser().parse_args(given)
    if a.command in ("run", "linear-probe", "quickstart"):
        for name in THREADS:  # before numpy is loaded: processes share the cores, and threads would compete for them
            os.environ.setdefault(name, "1")
    try:
        import lightning  # noqa: F401

        from ..matching import ModelError
    except ImportError as error:
        sys.exit(f"afx-study: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")
    if training is not None:
        from .methods.cli import main as train

        return train(training)
    try:
        _COMMANDS[a.command](a)
    except ModelError as error:
        _stop(5, error)
    except PlanError as error:
        _stop(2, error)
    except (OSError, ValueError, KeyError) as error:
        _stop(getattr(error, "exit_code", 4), error)


class PlanError(ValueError):
    """A name that neither the plan nor the study has (exit code 2)."""


def _recordings(a: argparse.Namespace):
    """Return the recordings for validation, and those for nothing but the study (if none: the former)."""
    import yaml

    from ..training.cli import find_config
    from ..training.datamodules import held_out_of
    from ..training.recordings.decoded import playing

    data = yaml.safe_load(Path(find_config(a.config)).read_text())["data"] if a.config else {}
    validation, test = held_out_of(playing(a.folder, a.layout), data.get("held_out", ()), data.get("test", ()))
    return validation, test or validation


def _do_quickstart(a: argparse.Namespace) -> None:
    from .quickstart import quickstart

    for path in quickstart(a.folder, a.layout, a.config, a.output, a.minutes, a.renders, a.n, a.seed):
        print(path)


def _do_run(a: argparse.Namespace) -> None:
    from .metrics import METRICS
    from .pairs import GENERATORS
    from .run import plan
    from .run.evaluate import Study, check_systems, run
    from .systems import SYSTEMS

    if unknown := [m for m in a.metrics if m not in METRICS]:
        raise PlanError(f"--metrics: {unknown[0]!r} is none of {', '.join(METRICS)}")
    wanted = {axis: getattr(a, axis) for axis in plan.AXES}
    try:
        check_systems(a.systems)
        effect_sets = {name: generator.effect_sets for name, generator in GENERATORS.items()}
        cells = plan.expand(plan.load(a.plan or plan.DEFAULT), effect_sets, SYSTEMS)
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
    from .report import write

    findings = a.findings or (FINDINGS if FINDINGS.is_file() else None)
    for path in write(a.rows, a.output, a.models, findings, a.probe):
        print(path)


def _do_linear_probe(a: argparse.Namespace) -> None:
    from .run.linear_probe import probe, summary

    validation, test = _recordings(a)
    known = list(dict.fromkeys([*validation, *test]))
    train, test = a.clips
    print(summary(probe(known, a.models, a.output, train, test, a.seed)))


def _do_calibrate(a: argparse.Namespace) -> None:
    from ..presets import SHIPPED_MODEL
    from .run.calibrate import calibrate

    model = a.model or SHIPPED_MODEL
    print(calibrate(_recordings(a)[0], model, a.n, a.seed, a.workers, a.scores))


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "quickstart": _do_quickstart,
    "run": _do_run,
    "report": _do_report,
    "linear-probe": _do_linear_probe,
    "calibrate": _do_calibrate,
}


def _stop(code: int, error: Exception) -> None:
    print(f"afx-study: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
