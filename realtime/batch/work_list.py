"""Which files a command over files, globs and folders reads, and which it writes."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...files.encodings import FORMATS
from ...files.streams import shown

FOREIGN = {".m4a", ".mp4", ".aac", ".ac3", ".wma", ".amr", ".ape", ".wv", ".mka", ".webm"}
"""Sound that cannot be read: it is in the list all the same, for nobody should miss it in silence."""


class WorkListError(ValueError):
    """Inputs and an output that do not fit together."""

    exit_code = 2


@dataclass(frozen=True)
class Item:
    """A file to be read, and the one to be written for it; `ours`: what is there already is an earlier output of it."""

    source: Path
    target: Path
    ours: bool = False


def work_list(inputs: Sequence[str], output: str, shard: tuple[int, int] = (1, 1)) -> list[Item]:
    """Pair every input with its output.

    inputs: files, folders (every sound file below them, but what is in the output folder), or globs that the shell
    has not expanded. output: a file for one file, else a folder; with a slash at its end, or if it is one, always a
    folder. Below it stands the same tree: paths as in their folders, or from the nearest folder that files of one
    name have in common. Formats that cannot be written become WAV. shard: (i, n), every n-th item from the i-th on,
    for array jobs. Raises WorkListError.
    """
    found = [pair for text in inputs for pair in _expanded(text, Path(output).absolute())]
    if not found:
        raise WorkListError(f"{', '.join(map(shown, inputs))}: no sound file there")
    folder = output.endswith(("/", os.sep)) or Path(output).is_dir()
    if len(found) == 1 and not folder and not Path(inputs[0]).is_dir():
        return [Item(found[0][0], Path(output))]
    if Path(output).exists() and not Path(output).is_dir():
        raise WorkListError(f"{shown(output)} is a file; several inputs need a folder: -o FOLDER/")
    items = [Item(source, Path(output) / _writable(name)) for source, name in _apart(found)]
    twice = [target for target, times in Counter(item.target for item in items).items() if times > 1]
    if twice:
        raise WorkListError(f"{shown(twice[0])} would be written twice; render those inputs one at a time")
    i, n = shard
    return items[i - 1 :: n]


def _expanded(text: str, output: Path) -> Iterator[tuple[Path, Path]]:
    """Give each file that an argument stands for, and its name within that."""
    path = Path(text)
    if path.is_dir():
        inside = path.absolute() in output.parents
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path)
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
            sound = file.suffix.lower() in FORMATS or file.suffix.lower() in FOREIGN
            if sound and not hidden and not (inside and output in file.absolute().parents) and file.is_file():
                yield file, name
    elif not path.exists() and glob.has_magic(text):
        yield from ((Path(f), Path(Path(f).name)) for f in sorted(glob.glob(text, recursive=True)))
    else:
        yield path, Path(path.name)


def _apart(found: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Keep files of one name apart by the folders that they do not share."""
    unique = list(dict(found).items())
    if len({name for _, name in unique}) == len(unique):
        return unique
    above = os.path.commonpath([source.absolute().parent for source, _ in unique])
    return [(source, source.absolute().relative_to(above)) for source, _ in unique]


def _writable(name: Path) -> Path:
    return name if name.suffix.lower() in FORMATS else name.with_name(f"{name.stem}.wav")
