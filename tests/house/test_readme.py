"""The README says what is so: its tables are the program's and the study's, its commands and files exist."""

import re
from pathlib import Path

import pytest

from afx_live.realtime.cli.parser import parser
from afx_live.realtime.osc.addresses import table_markdown

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def transfer_table() -> str:
    """Give the study's table of methods at one budget, without its counts and its last column."""
    report = (ROOT / "docs" / "study_report.md").read_text(encoding="utf-8")
    table = report.split("### The methods at one training budget")[1].split("\n\n#")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    head, *rows = [[*row[:2], *row[3:9]] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


TABLES = {"osc": table_markdown, "transfer": transfer_table}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_one_that_the_program_and_the_study_print(name):
    shown = README.split(f"<!-- {name} table -->\n")[1].split(f"\n<!-- {name} table ends -->")[0]
    assert shown.count("\n") > 10
    assert shown.strip() == TABLES[name]().strip(), "run: python tests/test_readme.py"


def test_every_command_and_flag_of_afx_live_exists():
    commands, known = _commands_and_flags()
    for line in re.findall(r"^    (afx-live .*?)(?: {2,}#.*)?$", README, re.MULTILINE):
        words = line.split()[1:]
        assert words[0].startswith("-") or words[0] in commands, line
        assert {w for w in words if w.startswith("-")} <= known, line


def test_linked_files_and_make_targets_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^    make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def _commands_and_flags() -> tuple[set[str], set[str]]:
    commands, flags, seen = set(), set(), [parser()]
    while seen:
        for action in seen.pop()._actions:
            flags |= set(action.option_strings)
            if isinstance(action.choices, dict):
                commands |= set(action.choices)
                seen += action.choices.values()
    return commands, flags


if __name__ == "__main__":  # bring the tables up to date
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} table -->", f"<!-- {name} table ends -->"
        head, rest = README.split(begin)
        README = f"{head}{begin}\n{make().rstrip()}\n{end}{rest.split(end)[1]}"
    (ROOT / "README.md").write_text(README, encoding="utf-8")
