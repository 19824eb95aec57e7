"""The README says what is so: its OSC table is the program's, its commands and files exist."""

import re
from pathlib import Path

from afx_live.realtime.cli import parser
from afx_live.realtime.osc_table import table_markdown

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_osc_table_is_the_one_the_program_prints():
    shown = README.split("<!-- osc table -->\n")[1].split("\n<!-- osc table ends -->")[0]
    assert shown.strip() == table_markdown().strip(), "run: python tests/test_readme.py"


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


if __name__ == "__main__":  # bring the table up to date
    head, rest = README.split("<!-- osc table -->\n")
    tail = rest.split("<!-- osc table ends -->")[1]
    text = f"{head}<!-- osc table -->\n{table_markdown().rstrip()}\n<!-- osc table ends -->{tail}"
    (ROOT / "README.md").write_text(text, encoding="utf-8")
