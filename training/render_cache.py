"""Renders are made once: folders named by all that they depend on, filled by several processes."""

import ast
import hashlib
import inspect
import json
import multiprocessing
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
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


def files(home: Path, count: int, per_file: int) -> list[tuple[Path, int]]:
    """Name the files of so many renders, and how many are in each; only the last may hold fewer."""
    counts = [per_file] * (count // per_file) + ([count % per_file] if count % per_file else [])
    return [(home / (f"{i:05d}.npz" if n == per_file else f"{i:05d}-{n}.npz"), n) for i, n in enumerate(counts)]


def fill(home: Path, render: Callable[[Any], Any], jobs: Sequence[tuple[Any, ...]], workers: int, words: str) -> Path:
    """Render the jobs whose file, the first thing in each, is not there yet; `words` name the progress bar."""
    home.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not job[0].exists()]
    if missing:
        from rich.progress import track

        # spawn: numba's thread pool does not survive a fork
        with ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn")) as pool:
            for _ in track(pool.map(render, missing), words, total=len(missing)):
                pass
    return home
