"""A preset as a host saved it for one of our LV2 plug-ins: a bundle's folder, or a Turtle file of it."""

from pathlib import Path

from ..chain import ChainSettings
from ..chain.numbered import order, parameters, settings_of
from ..files.bounded_read import bounded_read
from .lv2_writer import ORDER, PREFIXES
from .plugin_state import StateError
from .turtle_reader import Node, TurtleError, read_turtle

_PORT, _SYMBOL, _VALUE = f"{PREFIXES['lv2']}port", f"{PREFIXES['lv2']}symbol", f"{PREFIXES['pset']}value"
_STATE, _LABEL = f"{PREFIXES['state']}state", f"{PREFIXES['rdfs']}label"


def from_lv2(path: Path, max_bytes: int) -> tuple[str | None, ChainSettings, float]:
    """Read the label, the settings and the amount of the one preset that is there; values to six digits, as hosts keep.

    A bundle's files are read together, up to `max_bytes` each. Raises StateError if there is none, or several,
    or for what is no Turtle; OSError.
    """
    files = sorted(path.glob("*.ttl")) if path.is_dir() else [path]
    found: dict[str, Node] = {}
    for file in files:
        try:
            read = read_turtle(bounded_read(file, max_bytes).decode())
        except (TurtleError, UnicodeDecodeError, ValueError) as error:
            raise StateError(f"{file.name}: {error}") from None
        for subject, node in read.items():
            key = f"{file.name}{subject}" if not subject else subject
            mine = found.setdefault(key, {})
            for predicate, values in node.items():
                mine.setdefault(predicate, []).extend(values)
    ours = {subject: values for subject, node in found.items() if (values := _values(node))}
    if len(ours) != 1:
        labels = ", ".join(_label(found[subject]) or subject for subject in ours)
        raise StateError(
            f"holds {len(ours)} presets for an afx-live plug-in, not one" + (f": {labels}" if ours else "")
        )
    ((subject, values),) = ours.items()
    node = found[subject]
    amount = next(q.param for q in parameters() if q.path == "amount")
    return _label(node), settings_of(values, _playing(node)), amount.clip(values.get("amount", amount.default))


def _values(node: Node) -> dict[str, float]:
    """Give the parameters that a preset sets, by path; none if it is not one of ours."""
    paths = {q.symbol: q.path for q in parameters() if q.path != "bypass"}
    values: dict[str, float] = {}
    for port in node.get(_PORT, []):
        if not isinstance(port, dict) or _VALUE not in port or not isinstance(number := port[_VALUE][0], float):
            continue
        symbol = str(port.get(_SYMBOL, [""])[0])
        if symbol in paths and number == number:
            values[paths[symbol]] = float(f"{number:.6g}")
    return values


def _label(node: Node) -> str | None:
    return next((str(v) for v in node.get(_LABEL, []) if isinstance(v, str)), None)


def _playing(node: Node) -> list[str]:
    """Give the playing order; effects that it does not name follow."""
    states = (state for state in node.get(_STATE, []) if isinstance(state, dict))
    words = next((str(state[ORDER][0]).split() for state in states if ORDER in state), [])
    known = list(dict.fromkeys(word for word in words if word in order()))
    return [*known, *(name for name in order() if name not in known)]
