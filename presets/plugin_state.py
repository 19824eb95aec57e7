"""A preset as the state of a CLAP plug-in.

Every plug-in that `afx-export plugin` makes has the same parameters, so any preset loads into any of them.
The bytes of a state are described in native/state.c, which reads and writes the same ones.
"""

import struct

from ..chain import ChainSettings
from ..chain.numbered import parameters, path_values, playing_order, settings_of
from ..effects import built_in

MARK = b"AFX1"


class StateError(ValueError):
    """Bytes that are no plug-in state."""


def to_state(settings: ChainSettings, amount: float = 1.0) -> bytes:
    """Write settings and amount as the state of a plug-in."""
    playing, values = playing_order(settings), path_values(settings, amount)
    parts = [MARK, struct.pack("<I", len(playing)), *map(_named, playing), struct.pack("<I", len(values))]
    parts += [_named(path) + struct.pack("<d", value) for path, value in values.items()]
    return b"".join(parts)


def _named(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


def from_state(state: bytes) -> tuple[ChainSettings, float]:
    """Read settings and amount from the state of a plug-in. Raises StateError."""
    try:
        return _read(state)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise StateError(f"is not the state of an afx-live plug-in: {error}") from None


def _read(state: bytes) -> tuple[ChainSettings, float]:
    if not state.startswith(MARK):
        raise StateError("is not the state of an afx-live plug-in: it begins with other bytes")
    at = len(MARK)

    def number() -> int:
        nonlocal at
        at += 4
        return struct.unpack_from("<I", state, at - 4)[0]

    def name() -> str:
        nonlocal at
        size = number()
        if size > len(state) - at:
            raise IndexError("it breaks off")
        at += size
        return state[at - size : at].decode()

    playing = [name() for _ in range(number())]
    values = {}
    for _ in range(number()):
        path = name()
        (values[path],) = struct.unpack_from("<d", state, at)
        at += 8
    known = [effect for effect in playing if effect in built_in()]
    if len(set(known)) != len(known) or any(v != v for v in values.values()):
        raise StateError("is not the state of an afx-live plug-in: an effect twice, or a value that is no number")
    amount = next(q.param for q in parameters() if q.path == "amount")
    return settings_of(values, known), amount.clip(values.get("amount", amount.default))
