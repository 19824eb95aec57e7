"""README and docs say what is so: their tables are the program's, their commands, files and make targets exist."""

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from afx_live.matching import MatchModel
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.cli.parser import parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text(page):
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["osc", "transfer"])
def test_a_table_is_the_one_that_the_program_and_the_study_print(name, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])
    page, wanted = import_module("tables").page_with(name)
    assert text(page) == wanted, "run: make docs"


@EACH
def test_every_command_and_flag_of_afx_live_exists(page):
    commands, known = _commands_and_flags()
    for line in re.findall(r"^    (afx-live .*?)(?: {2,}#.*)?$", text(page), re.MULTILINE):
        words = line.split("|")[0].split()[1:]
        assert words[0].startswith("-") or words[0] in commands, line
        assert {w.split("=")[0] for w in words if re.match(r"--?[a-z]", w)} <= known, line


@EACH
def test_linked_files_and_make_targets_exist(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", text(page)):
        assert (page.parent / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^    make (\w+)", text(page), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_is_short():
    assert text(ROOT / "README.md").count("\n") <= 150


def test_a_model_answers_the_lines_for_other_programs(tmp_path, monkeypatch):
    """They get what `MatchModel` gets."""
    (lines,) = re.findall(r"```python\n(.*?)```", text(ROOT / "docs" / "model_hosts.md"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(SHIPPED_MODEL)
    rng = np.random.default_rng(0)
    clips = {f"levelled_{name}": 0.1 * rng.standard_normal(240000, np.float32) for name in ("input", "reference")}
    named = dict(clips)
    exec(lines, named)  # the page's own
    model = MatchModel()
    features = [model._encode(x) for x in clips.values()]  # analyse would level them again
    assert features[0]
    assert features[1]
    ours = model.predict(features[0], [features[1]])
    np.testing.assert_allclose(named["unit"][0], ours.unit, atol=1e-6)
    np.testing.assert_allclose(named["amount"][0], ours.amount, atol=1e-4)
    assert named["kin"][0, 0] == pytest.approx(ours.same_source, abs=1e-6)


def _commands_and_flags() -> tuple[set[str], set[str]]:
    commands, flags, seen = set(), set(), [parser()]
    while seen:
        for action in seen.pop()._actions:
            flags |= set(action.option_strings)
            if isinstance(action.choices, dict):
                commands |= set(action.choices)
                seen += action.choices.values()
    return commands, flags
