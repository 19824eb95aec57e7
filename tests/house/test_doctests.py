"""Every example in a docstring runs. (`--doctest-modules` cannot follow relative imports from room to room.)"""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOMS = ("effects", "export", "presets", "realtime", "study", "training")


def modules():
    for room in ROOMS:
        folder = Path(str(importlib.import_module(f"afx_live.{room}").__file__)).parent
        for file in sorted(folder.glob("*.py")):
            name = f"afx_live.{room}" + ("" if file.stem == "__init__" else f".{file.stem}")
            yield pytest.param(name, file, id=name)


def examples(file):
    """Count the examples in a file's docstrings without importing it."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, kinds)]
    return sum(len(doctest.DocTestParser().get_examples(text)) for text in texts)


@pytest.mark.parametrize(("name", "file"), list(modules()))
def test_examples_are_true(name, file):
    if not examples(file):
        return
    module = importlib.import_module(name)
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert sum(len(test.examples) for test in found) == examples(file)
    for test in found:
        report = []
        result = doctest.DocTestRunner().run(test, out=report.append)
        assert result.failed == 0, "".join(report)


def test_there_are_examples():
    assert sum(examples(p.values[1]) for p in modules()) >= 5
