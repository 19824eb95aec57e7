"""What compiled code is made of, and where it is kept: a folder of the user's.

Code is stamped with the file that a function stands in and all that it imports inside the package.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

_IMPORT = re.compile(r"^[ \t]*from (\.+)([\w.]*) import (?:\(([^)]*)\)|(.*))", re.MULTILINE)

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(platformdirs.user_cache_dir("afx-live")) / "kernels"


def folder() -> Path | None:
    """Give the folder of compiled code, made if need be; None where nothing can be written: a read-only home."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=FOLDER).close()
    except OSError:
        return None
    return FOLDER


def first_start(files: Iterable[Path]) -> bool:
    """Tell whether these sources have never been compiled on this machine; True only once."""
    place = folder()
    if place is None:
        return True
    mark = place / f"{sources_stamp(frozenset(files))[:16]}.compiled"
    if mark.exists():
        return False
    with suppress(OSError):  # a disk that is full: it is told again
        mark.touch()
    return True


def with_imported(files: Iterable[Path]) -> set[Path]:
    """Give files and all the files of the package that they import, directly or not."""
    found, new = set(files), set(files)
    while new:
        new = {other for file in new for other in _imported(file)} - found
        found |= new
    return found


@cache
def sources_stamp(files: frozenset[Path]) -> str:
    """Hash files and all the files of the package that they import, directly or not."""
    digest = hashlib.sha256()
    for part in sorted(
        f"{file.parent.name}/{file.name}".encode() + b"\0" + file.read_bytes() for file in with_imported(files)
    ):
        digest.update(part)
    return digest.hexdigest()


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """Find the files that a file imports by relative imports; in the rooms there are no others."""
    found = []
    for dots, module, several, one in _IMPORT.findall(file.read_text(encoding="utf-8")):
        base = file.parents[len(dots) - 1].joinpath(*filter(None, module.split(".")))
        names = re.findall(r"(?<!as )\b\w+", re.sub(r"#.*", "", several or one))
        candidates = [base.with_suffix(".py"), base / "__init__.py", *(base / f"{name}.py" for name in names)]
        found += [path for path in candidates if path.is_file()]
    return tuple(found)
