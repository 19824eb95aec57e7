"""Which questions the study asks of which systems: a plan, expanded, filtered, less what has been answered."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...chain import CANONICAL
from ..pairs.case import MODES, Case
from .rows import Key, key

DEFAULT = Path(__file__).with_name("plan.yaml")
AXES = tuple(f.name for f in fields(Case))
Cells = dict[Case, dict[str, int]]
"""How many pairs of each case every system is asked."""


@dataclass(frozen=True)
class Task:
    """One pair, and the systems that are yet to hear it."""

    case: Case
    index: int
    systems: tuple[str, ...]


def load(path: Path = DEFAULT) -> dict[str, Any]:
    """Read a plan; ValueError if it is none."""
    try:
        plan = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None
    if not isinstance(plan, dict) or not isinstance(plan.get("cells"), dict):
        raise ValueError(f"{path} is no plan: it has no cells; see {DEFAULT}")
    return plan


def expand(plan: Mapping[str, Any], rows: Mapping[str, Collection[str]], systems: Collection[str]) -> Cells:
    """Expand a plan into cells. rows: what each generator has; systems: those there are, masks aside.

    Raises ValueError, by name, for what is unknown.
    """
    sets = plan.get("sets", {})
    cells: Cells = {}
    for name, cell in plan["cells"].items():
        where = f"cell {name} of the plan"
        if unknown := {*cell} - {*AXES, "systems"}:
            raise ValueError(f"{where} says {min(unknown)!r}; it may say {', '.join(AXES)} and systems")
        asked = {s: n for word, n in cell["systems"].items() for s in sets.get(word, [word])}
        for system in asked:
            _known(system.split(":")[0], systems, f"system of {where}")
        for case in _cases(cell, rows, where):
            named = {_for_row(system, case.row): n for system, n in asked.items()}
            mine = cells.setdefault(case, {})
            for system, n in named.items():
                if system:
                    mine[system] = max(n, mine.get(system, 0))
    return cells


def _cases(cell: Mapping[str, Any], rows: Mapping[str, Collection[str]], where: str) -> Iterable[Case]:
    lists = {a: v if isinstance(v := cell.get(a, getattr(Case, a)), list) else [v] for a in AXES}
    for generator in lists.pop("generator"):
        _known(generator, rows, f"generator of {where}")
        wanted = rows[generator] if lists["row"] == ["*"] else lists["row"]
        for values in product(*({**lists, "row": wanted}).values()):
            case = dict(zip(lists, values, strict=True))
            _known(case["row"], rows[generator], f"row of {where}, generator {generator}")
            _known(case["mode"], MODES, f"mode of {where}")
            numbers = {"sample_rate": int(case["sample_rate"]), "intensity": float(case["intensity"])}
            yield Case(generator, **case | numbers)


def _known(word: str, words: Iterable[str], what: str) -> None:
    if word not in words:
        raise ValueError(f"{what}: {word!r} is none of {', '.join(words)}")


def _for_row(system: str, row: str) -> str | None:
    """Name the row's own effects in a system's mask; None where the row is not one of single effects."""
    if "{row}" not in system:
        return system
    return system.replace("{row}", row) if {*row.split("+")} <= {*CANONICAL} else None


def only(cells: Cells, wanted: Mapping[str, Collection[Any]], systems: Collection[str] = (), n: int = 0) -> Cells:
    """Leave cells whose axes are among the wanted ones, the systems named (a masked one with its model), n at most.

    What is empty leaves all. Raises ValueError if nothing is left.
    """
    left = {
        case: {
            s: min(count, n) if n else count
            for s, count in asked.items()
            if not systems or s in systems or s.split(":")[0] in systems
        }
        for case, asked in cells.items()
        if all(not values or getattr(case, axis) in values for axis, values in wanted.items())
    }
    left = {case: asked for case, asked in left.items() if asked}
    if not left:
        named = {k: list(v) for k, v in {**wanted, "systems": systems}.items() if v}
        raise ValueError(f"the plan has no cell with {named}; a cell that is not in it needs --plan FILE")
    return left


def tasks(cells: Cells, seed: int, done: Collection[Key] = ()) -> list[Task]:
    """List what is left to ask, first pairs of all cells first, so that a run cut short is a smaller study.

    Pairs of one index stand in an order by chance (of their names' hash): processes that take every
    second one get work of the same kind.
    """
    left = []
    for case, asked in cells.items():
        for index in range(max(asked.values())):
            systems = tuple(s for s, n in asked.items() if index < n and key(case, index, seed, s) not in done)
            if systems:
                left.append(Task(case, index, systems))
    return sorted(left, key=lambda task: (task.index, hashlib.sha256(repr(task.case).encode()).digest()))


def size(cells: Cells) -> int:
    """Count the rows that a whole run has."""
    return int(np.sum([sum(asked.values()) for asked in cells.values()]))
