"""The report: rows, training curves, probes and examples as one HTML page and its Markdown twin.

It depends on files alone: the same files give the same bytes.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...files.distinct import Named, check_distinct
from ..pairs.condition import MODES
from ..run.rows import gather
from . import page, plots, tables
from .cells import Cell, Table, title
from .results import Results

NAME = "How well does each kind of model transfer each effect?"
SECTIONS = {
    "The methods, side by side": (tables.headline,),
    "Can an equaliser and a compressor stand in for other effects?": (tables.chains,),
    "Every system": (tables.all_systems, tables.harm),
    "Kinds of sound, sample rates, intensities": (tables.varied,),
    "Every metric": (tables.every_metric,),
    "What it costs": (tables.cost,),
    "Failures": (tables.failures,),
}


def write(
    places: Sequence[Path], output: Path, models: Path, findings: Path | None = None, probe: Path | None = None
) -> tuple[Path, Path]:
    """Write the page and its Markdown twin; returns both paths.

    places: folders of runs, or files of rows; models: folder of trainings, for their curves; findings: hand-written
    Markdown that opens the page; probe: result of `afx-study linear-probe` (default: probe.json beside the rows).
    Raises FileNotFoundError and ValueError for rows, findings or probes that do not exist or are malformed,
    SameFileError if one of them would be written over.
    """
    twin = output.with_suffix(".md")
    read = [("rows", path) for path in places] + [("the findings", findings), ("the probe", probe)]
    written = [Named("the page", output, True), Named("the page in Markdown", twin, True)]
    check_distinct([*(Named(role, path) for role, path in read if path), *written])
    rows = gather(places)
    folders = [p if p.is_dir() else p.parent for p in places]
    results, curves = Results(rows), training_curves(models)
    probed = _probed(probe, folders)
    found = {name: [t for make in makers for t in make(results)] for name, makers in SECTIONS.items()}
    found["What it costs"] = tables.budgets(curves) + found["What it costs"]
    found["What style encoders know"] = _probe_tables(probed) if probed else []
    found["Where the numbers come from"] = _provenance(rows, folders)
    found = {name: there for name, there in found.items() if there}
    pictures = {
        "The methods, side by side": improvement_plot(results),
        "What it costs": curve_plot(curves) + cost_plot(results),
        "Kinds of sound, sample rates, intensities": varied_plot(results),
    }
    text = _without_heading(findings.read_text(encoding="utf-8")) if findings else ""
    output.parent.mkdir(parents=True, exist_ok=True)
    inner = {name: pictures.get(name, "") + "".join(map(page.table_html, there)) for name, there in found.items()}
    if examples := _examples(folders):
        inner["Listen"] = examples
    output.write_text(page.document(NAME, page.prose(text), list(inner.items())), encoding="utf-8")
    parts = [f"## {name}\n\n" + "\n".join(map(page.table_markdown, there)) for name, there in found.items()]
    opening = [text.strip() + "\n"] if text else []
    twin.write_text("\n".join([f"# {NAME}\n", *opening, *parts]), encoding="utf-8")
    return output, twin


def _without_heading(markdown: str) -> str:
    """Remove a first-level heading at the beginning: the page has its own."""
    lines = markdown.splitlines()
    return "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines)


# --- training -----------------------------------------------------------------------------------------


def training_curves(models: Path) -> dict[str, list[dict[str, float]]]:
    """Read each training's curve: the newest curve.csv in a folder below `models/<name>`, rows of numbers."""
    curves = {}
    for folder in sorted(p for p in models.glob("*") if p.is_dir()):
        found = sorted(folder.rglob("curve.csv"), key=lambda p: (p.stat().st_mtime_ns, p))
        if not found:
            continue
        with open(found[-1], newline="") as file:
            points = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        if points := [p for p in points if "cpu_minutes" in p]:
            curves[folder.name] = points
    return curves


def curve_plot(curves: dict[str, list[dict[str, float]]]) -> str:
    """Draw validation over processor minutes, one plot for each metric that several trainings log."""
    keys = sorted({k for points in curves.values() for k in points[-1] if k.startswith("validation")})
    wanted = [k for k in keys if "stft" in k or k.endswith("loss")] or keys[:1]
    drawn = []
    for key in wanted[:3]:
        series = {n: [(p["cpu_minutes"], p.get(key, np.nan)) for p in points] for n, points in curves.items()}
        drawn.append(plots.lines(series, "processor time, min", key.replace("_", " ")))
    return "".join(drawn)


# --- plots of rows ------------------------------------------------------------------------------------


def improvement_plot(results: Results) -> str:
    """Draw the improvement of each method on each effect set, our own effects, both modes together."""
    base = results.conditions(tables.is_base)
    groups = {}
    for row in dict.fromkeys(c.effect_set for c in base if c.effect_set != "none"):
        conditions = [c for c in base if c.effect_set == row]
        found = [(s, results.gain(s, conditions)) for s in (*tables.BUDGETED, "ours", "match_eq_50")]
        points = [(title(s), *(100 * v for v in (f.mean, f.low, f.high))) for s, f in found if f and f.share]
        if points:
            groups[f"{row}, either recording"] = points
    return plots.dots(groups, "change against only setting the loudness, % (hollow: not significant)")


def varied_plot(results: Results) -> str:
    """Draw the improvement over the intensity."""
    series: dict[str, list[tuple[float, float]]] = {}
    conditions = results.conditions(lambda c: tables.is_base(replace(c, intensity=1.0)) and c.mode == MODES[0])
    varied = {c.effect_set for c in conditions if c.intensity != 1}
    for intensity in sorted({c.intensity for c in conditions if c.effect_set in varied}):
        mine = [c for c in conditions if c.intensity == intensity and c.effect_set in varied]
        for system in ("match_eq_50", "matcher", "ad", "spsa", "response", "ours"):
            if found := results.gain(system, mine):
                series.setdefault(title(system), []).append((intensity, 100 * found.mean))
    several = {n: p for n, p in series.items() if len(p) > 1}
    return plots.lines(several, "intensity (1: as drawn)", "change against only loudness, %")


def cost_plot(results: Results) -> str:
    """Draw the improvement over the cost."""
    conditions = results.conditions(lambda c: tables.is_base(c) and c.effect_set != "none")
    series = {}
    for system, factors in tables.real_time_factors(results.rows).items():
        found = results.gain(system, conditions)
        if found and found.share and system not in ("nothing", "loudness"):
            series[title(system)] = [(float(np.median(factors)), 100 * found.mean)]
    return plots.lines(series, "real-time factor on one core", "change against only loudness, %", log_x=True)


# --- the rest -----------------------------------------------------------------------------------------


def _probed(path: Path | None, folders: Sequence[Path]) -> dict[str, Any] | None:
    paths = [path] if path else [f / "probe.json" for f in folders if (f / "probe.json").is_file()]
    return json.loads(paths[0].read_text()) if paths else None


def _probe_tables(probed: dict[str, Any]) -> list[Table]:
    """Tables of probe.json: accuracies, and the confusions of each encoder."""
    best = max(e["accuracy"] for e in probed["encoders"].values())
    rows = []
    for name, e in probed["encoders"].items():
        accuracy = Cell(
            f"{e['accuracy']:.0%}", "[{:.0%}, {:.0%}]".format(*e["accuracy_interval"]), e["accuracy"] == best
        )
        f1 = Cell(f"{e['macro_f1']:.2f}", "[{:.2f}, {:.2f}]".format(*e["macro_f1_interval"]))
        rows.append([Cell(name), Cell(str(e["size"])), accuracy, f1])
    styles = probed["styles"]
    about = (
        f"Logistic regression on {probed['train']} clips, {probed['test']} others from other recordings; "
        f"{len(styles)} styles, chance {1 / len(styles):.0%}. Intervals over recordings."
    )
    tables = [Table("Linear probes", about, ["encoder", "numbers", "accuracy", "macro-F1"], rows)]
    for name, e in probed["encoders"].items():
        lines = [
            [Cell(style), *(Cell(str(n), best=i == j) for j, n in enumerate(counts))]
            for i, (style, counts) in enumerate(zip(styles, e["confusion"], strict=True))
        ]
        tables.append(Table(f"Confusions, {name}", "Clips; lines: true style.", ["true \\ predicted", *styles], lines))
    return tables


def _provenance(rows: Sequence[dict[str, Any]], folders: Sequence[Path]) -> list[Table]:
    """List seeds, versions, machines, recordings and models."""

    def all_of(values) -> str:
        return ", ".join(dict.fromkeys(str(v) for v in values))

    versions: dict[str, list[str]] = {}
    for row in rows:
        for package, version in row["versions"].items():
            versions.setdefault(package, []).append(version or "none")
    heads = [json.loads(p.read_text()) for f in dict.fromkeys(folders) if (p := f / "run.json").is_file()]
    machines = all_of(
        f"{h['machine']['processor']}, {h['machine']['cores']} cores, {h['machine']['system']}" for h in heads
    )
    models: dict[str, set[str]] = {}
    for row in rows:
        if row["model"]:
            models.setdefault(title(row["system"].split(":")[0]), set()).add(row["model"])
    facts = {
        "rows": str(len(rows)),
        "recordings (groups) used": str(len({r["recording"] for r in rows if r["recording"]})),
        "hash of all test recordings": all_of(r["recordings"]["all"] for r in rows),
        "seed": all_of(r["seed"] for r in rows),
        "machine": machines or "unknown",
        **{f"version of {p}": all_of(v) for p, v in versions.items()},
        **{f"model of {s}": all_of(sorted(digests)) for s, digests in sorted(models.items())},
    }
    about = "Every row holds these, and the hashes of the files it was cut from; run.json lists all files."
    return [Table("Provenance", about, ["what", "which"], [[Cell(k), Cell(v)] for k, v in facts.items()])]


def _examples(folders: Sequence[Path]) -> str:
    """Embed the examples of `afx-study run --examples`."""
    parts = []
    for listing in (p for f in dict.fromkeys(folders) if (p := f / "examples" / "examples.json").is_file()):
        for example in json.loads(listing.read_text()):
            parts.append(
                f"<h3>{page.escape(example['title'])}</h3><p class='about'>{page.escape(example['about'])}</p>"
            )
            sounds = (page.sound(listing.parent / s["file"], s["label"]) for s in example["sounds"])
            parts.append(f'<div class="sounds">{"".join(sounds)}</div>')
    return "".join(parts)
