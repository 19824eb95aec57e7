"""`afx-live osc`: the OSC addresses as a table, and as layouts for other programs."""

import sys
from collections.abc import Callable
from pathlib import Path

from ...files.distinct import Named, check_distinct
from ..osc import layouts
from ..osc.addresses import addresses, table, table_markdown
from .errors import ExitCode, UsageError
from .printer import Printer
from .saving import refuse_existing


def osc(
    markdown: bool = False,
    reaper: Path | None = None,
    reaper_effect: Path | None = None,
    open_stage_control: Path | None = None,
    force: bool = False,
    printer: Printer | None = None,
) -> int:
    """Print the addresses, or write the layouts that have a path (`-` prints one); returns 0. Raises UsageError."""
    files = [
        (reaper, layouts.reaper_osc),
        (reaper_effect, layouts.reaper_effect),
        (open_stage_control, layouts.open_stage_control),
    ]
    if wanted := [(path, make) for path, make in files if path]:
        _write_layouts(wanted, force)
        return ExitCode.DONE
    names = ("path", "kind", "low", "high", "unit", "doc")
    data = [{name: getattr(each, name) for name in names} for each in addresses()]
    (printer or Printer()).result(data, (table_markdown() if markdown else table()).rstrip())
    return ExitCode.DONE


def _write_layouts(files: list[tuple[Path, Callable[[], str]]], force: bool) -> None:
    """Write each file, or print it for the path `-`."""
    if sum(str(path) == "-" for path, _ in files) > 1:
        raise UsageError("two files to standard output; give each its own name")
    check_distinct(Named("a layout", path, True) for path, _ in files if str(path) != "-")
    for path, _ in files:
        if str(path) != "-":
            refuse_existing(path, force)
    for path, make in files:
        if str(path) == "-":
            print(make(), end="")
            continue
        try:
            path.write_text(make(), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; name another place") from None
        print(f"wrote {path}", file=sys.stderr)
