"""Renders are made once: folders named by all that they depend on."""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..chain import ChainParameters
from ..effects import Effect
from .recordings import Recording


def made_of(
    recordings: Sequence[Recording], chain: ChainParameters, parts: Sequence[Any], seed: int, vary: bool, **more: Any
) -> str:
    """Name all that renders depend on, `parts` of the source among it: another set never meets an old folder."""
    depends = {
        "recordings": [(str(r.path), r.seconds) for r in recordings],
        "params": [(e, asdict(p)) for e, p in chain.params],
        "effects": [_source(e) for e in chain.effects],
        "sources": [meaning(part) for part in parts],
        "seed": seed,
        "vary": vary,
        **more,
    }
    return hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:16]


def _source(effect: Effect) -> Any:
    """Give what an effect is: its file's meaning, or, of one that a script or notebook registered, compiled code."""
    module = inspect.getmodule(effect.design)
    if module is not None and module.__name__ != "__main__":
        return meaning(module)
    codes = [f.__code__ for f in (effect.design, effect.kernel, effect.prior)]
    return [(c.co_code.hex(), [x for x in c.co_consts if isinstance(x, (int, float, str))]) for c in codes]


def meaning(part: Any) -> str:
    """Give the syntax tree of a piece of source without its docstrings: words and line breaks do not spoil a cache."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [line for line in node.body if not _is_docstring(line)]
    return ast.dump(tree)


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
