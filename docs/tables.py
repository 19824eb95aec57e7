"""The tables that the pages beside this file share with the program and the study.

python docs/tables.py     # writes them anew, as `make docs` does; tests/house/test_docs.py says if that is due
"""

import sys
from pathlib import Path

from afx_live.realtime.osc.addresses import table_markdown

ROOT = Path(__file__).resolve().parents[1]


def transfer_table() -> str:
    """Give the study's table of methods at one budget, without its counts and its last column."""
    report = (ROOT / "docs" / "study_report.md").read_text(encoding="utf-8")
    table = report.split("### The methods at one training budget")[1].split("\n\n#")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    head, *rows = [[*row[:2], *row[3:9]] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def thirteen_hours_table() -> str:
    """Give what AD, the study's own training and the shipped model gain where all may learn from thirteen hours."""
    from afx_live.study.report.results import TITLES, Results
    from afx_live.study.run.rows import gather

    results = Results(gather([ROOT / "docs" / "study_rows_thirteen_hours.jsonl.xz"]))
    systems, lines = ("match_eq_50", "match_eq", "ad", "response", "ours"), []
    for condition in results.conditions():
        base = results.mean("loudness", [condition])
        gains = [results.gain(system, [condition]) for system in systems]
        if base is None or not all(gains):
            continue
        name = f"{condition.effect_set}, the paper's" if condition.generator == "deepafx" else condition.effect_set
        cells = [(f"{g.mean:+.0%}" if g.share else f"{g.mean:+.3f}").replace("-", "−") for g in gains if g]
        marked = [cell if g and g.significant else f"≈ {cell}" for cell, g in zip(cells, gains, strict=True)]
        lines.append([name, condition.mode, base.n, f"{base.mean:.3f}", *marked])
    head = ["effect set", "recording", "pairs", "only loudness, error", *(TITLES[s] for s in systems)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (head, ["---"] * len(head), *lines))


def files_table() -> str:
    """Give what each kind of sound file gets, as the tests see it."""
    sys.path.append(str(ROOT / "tests"))
    from support import sweep

    return sweep.table_markdown()


TABLES = {
    "osc": ("docs/osc.md", table_markdown),
    "transfer": ("docs/study.md", transfer_table),
    "thirteen hours": ("docs/study.md", thirteen_hours_table),
    "files": ("docs/files.md", files_table),
}
"""Each table's page, and what makes it."""


def page_with(name: str) -> tuple[Path, str]:
    """Give the page of a table, and its text with the table as it should be."""
    place, make = TABLES[name]
    path = ROOT / place
    begin, end = f"<!-- {name} table -->\n", f"\n<!-- {name} table ends -->"
    head, rest = path.read_text(encoding="utf-8").split(begin)
    return path, f"{head}{begin}{make().strip()}{end}{rest.split(end)[1]}"


def main() -> None:
    """Write every table."""
    for name in TABLES:
        path, text = page_with(name)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
