"""`afx-live preset`: list, show and check presets."""

import json
from collections.abc import Sequence
from typing import Literal

from ... import presets
from .errors import ExitCode, UsageError
from .printer import Printer


def preset(action: Literal["list", "show", "check"], names: Sequence[str] = (), printer: Printer | None = None) -> int:
    """List presets, or show or check those of these names or files; returns 0. Raises UsageError or PresetError."""
    printer = printer or Printer()
    if action == "list":
        every = {name: presets.load(name) for name in presets.names()}
        printer.result(sorted(every), "\n".join(f"{n:<16}{p.notes}" for n, p in every.items()))
        return ExitCode.DONE
    if not names:
        raise UsageError(f"preset {action} needs a name or a file; there are {', '.join(presets.names())}")
    texts = {name: presets.to_json(presets.load(name)).rstrip() for name in names}
    if action == "show":
        printer.result([json.loads(text) for text in texts.values()], "\n".join(texts.values()))
    else:
        printer.result(dict.fromkeys(texts, "fits"), "\n".join(f"{name}: fits" for name in texts))
    return ExitCode.DONE
