"""Every example in a docstring runs. (`--doctest-modules` cannot follow relative imports from room to room.)"""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(init.parent for init in ROOT.glob("*/__init__.py"))


def examples(file):
    """Count the examples in a file's docstrings without importing it."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    return sum(len(doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")) for node in nodes)


def module(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("afx_live", *(part for part in parts if part != "__init__")))


WITH_EXAMPLES = [file for room in ROOMS for file in sorted(room.rglob("*.py")) if examples(file)]


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=module)
def test_examples_are_true(file):
    found = [test for test in doctest.DocTestFinder().find(importlib.import_module(module(file))) if test.examples]
    assert sum(len(test.examples) for test in found) == examples(file)
    for test in found:
        report = []
        result = doctest.DocTestRunner().run(test, out=report.append)
        assert result.failed == 0, "".join(report)
