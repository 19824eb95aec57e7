"""Renders are found again as long as what made them means the same."""

import importlib.util

import pytest

from afx_live.training.render_cache import meaning

CODE = '''"""A module."""

SIZE = 3
"""How much."""


def play(x):
    """Play it."""
    return SIZE * x
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""Play it."""', '"""Play it, and say so."""', True),
        ('"""How much."""', '"""How many."""', True),
        ('    """Play it."""\n', "    # played\n", True),
        ("SIZE * x", "x * SIZE", False),
        ("SIZE = 3", "SIZE = 4", False),
    ],
)
def test_words_do_not_spoil_a_cache_and_code_does(tmp_path, old, new, same):
    found = []
    for name, text in (("before", CODE), ("after", CODE.replace(old, new))):
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(meaning(module))
    assert (found[0] == found[1]) is same
