"""Packages of free registries: what is taken from each, how one is downloaded and unpacked; nothing is installed."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

KINDS = ("speech", "vocals", "guitar", "instruments", "drums", "loops", "music", "rooms")
ARCHIVES = (".pk3", ".zip", ".wz", ".h2drumkit")
"""Archives inside packages that may hold audio."""
PERMISSIVE = ("MIT", "CC0", "CC-BY-3.0", "CC-BY-3.0 or CC0", "CC-BY-4.0", "X11-style (BSD-like)")
"""Licences that ask for no more than attribution."""


class Unavailable(RuntimeError):
    """A package that cannot be had, or a tool that is missing."""


@dataclass(frozen=True)
class Source:
    """Some files of one package and how they become excerpts.

    package: registry:name (deb, npm or pip), names of one package in several releases as "new|old". licence:
    as the package states it. files, skip: globs on the path inside the package. how: see `excerpts.MAKERS`.
    group: a regular expression on the path whose groups name the speaker, kit or song. minutes: at most, for
    the whole source and for one group. shortest: files under so many seconds are left out. megabytes: about.
    """

    package: str
    kind: str
    licence: str
    author: str
    files: tuple[str, ...]
    skip: tuple[str, ...] = ()
    how: str = "cut"
    group: str = ""
    minutes: float = 12.0
    group_minutes: float = 3.0
    shortest: float = 4.0
    megabytes: int = 0

    @property
    def registry(self) -> str:
        """Where the package is: deb, npm or pip."""
        return self.package.split(":", 1)[0]

    @property
    def names(self) -> list[str]:
        """The package's names, the newest first."""
        return self.package.split(":", 1)[1].split("|")


def sources(kinds: Sequence[str] = KINDS, licences: str = "free", max_megabytes: float = float("inf")) -> list[Source]:
    """List the sources of sources.yaml; licences: "free" is all, "permissive" leaves out share-alike ones.

    Raises ValueError for a kind or a choice of licences that there is not.
    """
    if unknown := set(kinds) - set(KINDS):
        raise ValueError(f"kinds: {', '.join(sorted(unknown))} is not one of {', '.join(KINDS)}")
    if licences not in ("free", "permissive"):
        raise ValueError(f"licences: {licences!r} is not free or permissive")
    rows: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("sources.yaml").read_text())
    for row in rows:
        row |= {k: tuple(v) for k, v in row.items() if isinstance(v, list)}
    listed = [Source(**row) for row in rows]
    return [
        s for s in listed
        if s.kind in kinds and s.megabytes <= max_megabytes and (licences == "free" or s.licence in PERMISSIVE)
    ]  # fmt: skip


class Package(NamedTuple):
    """A package as it was downloaded: its file, its name and its version."""

    file: Path
    name: str
    version: str


def download(source: Source, folder: Path) -> Package:
    """Download a source's package into an empty folder. Raises Unavailable, with the tool's own last words."""
    folder.mkdir(parents=True)
    tool = {"deb": "apt-get", "npm": "npm", "pip": sys.executable}[source.registry]
    if not shutil.which(tool):
        raise Unavailable(f"{tool} is missing; {source.package} is downloaded with it")
    if source.registry == "deb":
        _download_deb(source, folder)
    elif source.registry == "npm":
        _run(["npm", "pack", "--silent", source.names[0]], folder)
    else:
        _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", *2 * source.names], folder)
    got = next((p for p in folder.iterdir() if p.suffix in (".deb", ".tgz", ".gz", ".whl", ".zip")), None)
    if got is None:
        raise Unavailable(f"{source.package}: nothing was downloaded")
    if source.registry == "deb":
        asked = ["dpkg-deb", "-W", "--showformat", "${Package} ${Version}", str(got)]
        name, version = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        return Package(got, name, version)
    version = re.search(r"-(\d[^-]*?)(?:\.tar)?\.\w+$", got.name)
    return Package(got, source.names[0], version[1] if version else "")


def _download_deb(source: Source, folder: Path) -> None:
    as_root = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    for name in source.names:
        try:
            return _run(["apt-get", "-q", *as_root, "download", name], folder)
        except Unavailable:
            if name == source.names[-1]:
                raise


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise Unavailable(lines[-1][:200] if lines else f"{command[0]} failed")


def unpack(package: Package, folder: Path) -> list[str]:
    """Unpack a package and the archives in it; names what could not be unpacked."""
    folder.mkdir(parents=True)
    if package.file.suffix == ".deb":
        _run(["dpkg-deb", "-x", str(package.file), str(folder)], folder)
    else:
        _open_archive(package.file, folder)
    package.file.unlink()
    failed = []
    for inner in [p for p in folder.rglob("*") if p.suffix in ARCHIVES and p.is_file() and not p.is_symlink()]:
        try:
            _open_archive(inner, inner.with_name(inner.name + "!"))
        except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
            failed.append(f"{inner.name} ({error})")
    return failed


def _open_archive(path: Path, folder: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")


def chosen_files(root: Path, source: Source) -> list[str]:
    """List the paths inside an unpacked package that the source's globs pick, in order, without links."""
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    return [
        n for n in names
        if any(fnmatch.fnmatchcase(n, g) for g in source.files)
        and not any(fnmatch.fnmatchcase(n, g) for g in source.skip)
    ]  # fmt: skip
