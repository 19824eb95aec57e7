"""Which systems answer pairs of which conditions: a plan, expanded, filtered, less what has been done."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...chain import CANONICAL
from ..pairs.condition import FORMER_GENERATORS, MODES, Condition
from .rows import Key, key

DEFAULT = Path(__file__).with_name("plan.yaml")
AXES = tuple(f.name for f in fields(Condition))
Cells = dict[Condition, dict[str, int]]
"""How many pairs of each condition every system gets."""


@dataclass(frozen=True)
class Task:
    """One pair, and the systems that have not answered it yet."""

    condition: Condition
    index: int
    systems: tuple[str, ...]


def load(path: Path = DEFAULT) -> dict[str, Any]:
    """Read a plan; ValueError if it is not one."""
    try:
        plan = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None
    if not isinstance(plan, dict) or not isinstance(plan.get("cells"), dict):
        raise ValueError(f"{path} is not a plan: it has no cells; see {DEFAULT}")
    return plan


def expand(plan: Mapping[str, Any], effect_sets: Mapping[str, Collection[str]], systems: Collection[str]) -> Cells:
    """Expand a plan into cells. effect_sets: by generator; systems: those that exist, without constraints.

    In plans, "row" is the former name of "effect_set", and generators may have their former names. Raises
    ValueError, by name, for what is unknown.
    """
    sets = plan.get("sets", {})
    cells: Cells = {}
    for name, cell in plan["cells"].items():
        where = f"cell {name} of the plan"
        cell = {"effect_set" if axis == "row" else axis: value for axis, value in cell.items()}
        if unknown := {*cell} - {*AXES, "systems"}:
            raise ValueError(f"{where} has {min(unknown)!r}; it may have {', '.join(AXES)} and systems")
        counts = {s: n for word, n in cell["systems"].items() for s in sets.get(word, [word])}
        for system in counts:
            _check(system.split(":")[0], systems, f"system of {where}")
        for condition in _conditions(cell, effect_sets, where):
            named = {_constrained(system, condition.effect_set): n for system, n in counts.items()}
            mine = cells.setdefault(condition, {})
            for system, n in named.items():
                if system:
                    mine[system] = max(n, mine.get(system, 0))
    return cells


def _conditions(cell: Mapping[str, Any], effect_sets: Mapping[str, Collection[str]], where: str) -> Iterable[Condition]:
    lists = {a: v if isinstance(v := cell.get(a, getattr(Condition, a)), list) else [v] for a in AXES}
    for name in map(str, lists.pop("generator")):
        generator = FORMER_GENERATORS.get(name, name)
        _check(generator, effect_sets, f"generator of {where}")
        wanted = effect_sets[generator] if lists["effect_set"] == ["*"] else lists["effect_set"]
        for values in product(*({**lists, "effect_set": wanted}).values()):
            condition = dict(zip(lists, values, strict=True))
            _check(condition["effect_set"], effect_sets[generator], f"effect_set of {where}, generator {generator}")
            _check(condition["mode"], MODES, f"mode of {where}")
            numbers = {"sample_rate": int(condition["sample_rate"]), "intensity": float(condition["intensity"])}
            yield Condition(generator, **condition | numbers)


def _check(word: str, words: Iterable[str], what: str) -> None:
    if word not in words:
        raise ValueError(f"{what}: {word!r} is none of {', '.join(words)}")


def _constrained(system: str, effect_set: str) -> str | None:
    """Put the condition's own effects into a system's constraint; None where it has no single effects."""
    own = "{row}" if "{row}" in system else "{effect_set}"
    if own not in system:
        return system
    return system.replace(own, effect_set) if {*effect_set.split("+")} <= {*CANONICAL} else None


def only(cells: Cells, wanted: Mapping[str, Collection[Any]], systems: Collection[str] = (), n: int = 0) -> Cells:
    """Keep cells whose axes are among the wanted ones, the named systems (with their constraints), n pairs at most.

    What is empty keeps all. Raises ValueError if nothing is left.
    """
    wanted = {**wanted, "generator": [FORMER_GENERATORS.get(g, g) for g in wanted.get("generator", ())]}
    left = {
        condition: {
            s: min(count, n) if n else count
            for s, count in counts.items()
            if not systems or s in systems or s.split(":")[0] in systems
        }
        for condition, counts in cells.items()
        if all(not values or getattr(condition, axis) in values for axis, values in wanted.items())
    }
    left = {condition: counts for condition, counts in left.items() if counts}
    if not left:
        named = {k: list(v) for k, v in {**wanted, "systems": systems}.items() if v}
        raise ValueError(f"the plan has no cell with {named}; a cell that is not in it needs --plan FILE")
    return left


def tasks(cells: Cells, seed: int, done: Collection[Key] = ()) -> list[Task]:
    """List what is left to do, first pairs of all cells first, so that a run cut short is a smaller study.

    Pairs of one index are in random order (of their conditions' hash), so that processes that take every n-th one
    get similar work.
    """
    left = []
    for condition, counts in cells.items():
        for index in range(max(counts.values())):
            systems = tuple(s for s, n in counts.items() if index < n and key(condition, index, seed, s) not in done)
            if systems:
                left.append(Task(condition, index, systems))
    return sorted(left, key=lambda task: (task.index, hashlib.sha256(repr(task.condition).encode()).digest()))


def size(cells: Cells) -> int:
    """Count the rows of a whole run."""
    return int(np.sum([sum(counts.values()) for counts in cells.values()]))
