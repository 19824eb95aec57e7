"""What Python calls of the library that comes with the package: all that the live side compiles."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..dsp import dc_blocker, true_peak  # noqa: F401  what they have for Python is listed in ENTRIES
from ..dsp.compiler import ENTRIES, JACOBIAN, at_address, carray
from ..dsp.entry import FLOAT, Array, Group, Spec, entry_name
from ..effects import built_in, load
from ..realtime.audio.callback import CALLBACK, copy_block, play_block
from ..realtime.audio.test_signal import test_signal

PACKED = "void(int64)"


def entries() -> Iterator[tuple[str, Any, Callable[..., Any]]]:
    """Give the name, the signature and the function of everything that Python calls and plug-ins do not need."""
    for function in (play_block, copy_block, test_signal):
        yield entry_name(function, "callback"), CALLBACK, function
    for name in built_in():
        yield f"jacobian_{name}", JACOBIAN, load(name).jacobian_text
    for function in ENTRIES:
        yield entry_name(function.py_func), PACKED, wrapper(function, function.entry or ())


def table() -> Iterator[tuple[str, str]]:
    """Give the names that `dsp.library` asks for, and the entries that they stand for."""
    for name, *_ in entries():
        if not name.startswith("jacobian_"):
            yield name, name
    found: dict[str, str] = {}
    for name in built_in():
        e = load(name)
        found.setdefault(entry_name(e.design, "design"), f"design_{name}")
        found.setdefault(entry_name(e.design, "jacobian"), f"jacobian_{name}")
        found.setdefault(entry_name(e.kernel, "kernel"), f"kernel_{name}")
        found.setdefault(entry_name(e.state_size, "size"), f"size_{name}")
    yield from found.items()


def wrapper(function: Any, specs: Sequence[Spec]) -> Callable[..., None]:
    """Write what C calls: it unpacks what `dsp.entry` packed, and calls the compiled `function`."""
    names: dict[str, Any] = {"inner": function, "carray": carray, "at_address": at_address, "np": np}
    at = 0

    def text(spec: str | Array) -> str:
        nonlocal at
        first, at = at, at + 1
        if isinstance(spec, str):
            return f"{'numbers' if spec == FLOAT else 'slots'}[{first}]"
        names[f"dtype_{first}"] = np.dtype(spec.dtype)
        at += spec.ndim
        shape = "".join(f"slots[{i}], " for i in range(first + 1, at))
        return f"carray(at_address(slots[{first}]), ({shape}), dtype_{first})"

    arguments = []
    for i, spec in enumerate(specs):
        if isinstance(spec, Group):
            names[f"group_{i}"] = spec.of
            arguments.append(f"group_{i}({', '.join(map(text, spec.fields))})")
        else:
            arguments.append(text(spec))
    lines = [
        "def call(packed):",
        "    slots = carray(at_address(packed), (COUNT,), np.int64)",
        "    numbers = carray(at_address(packed), (COUNT,), np.float64)",
        f"    inner({', '.join(arguments)})",
    ]
    names["COUNT"] = at
    exec("\n".join(lines), names)  # numba needs a list of arguments that is spelled out, and each entry has its own
    return names["call"]
