import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from afx_live.dsp.sources import ROOT
from afx_live.native import build
from support.afx_library import open_library

ROOMS = ("dsp", "files", "effects", "chain", "presets", "matching", "native", "realtime")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The library as a file; its kit is kept in the user's cache folder."""
    path = tmp_path_factory.mktemp("native") / "libafx.so"
    build.make_library(path)
    return path


@pytest.fixture(scope="session")
def library(built):
    return open_library(built)


class Package:
    """The live side as a wheel with the library in it installs it."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "afx_live"
        for room in ROOMS:
            ignored = shutil.ignore_patterns("__pycache__", "libafx-live.so", "kit")
            shutil.copytree(ROOT / room, self.place / room, ignore=ignored)
        self.run("-m", "afx_live.native.build", str(self.place / "native"))

    def env(self, **more: str) -> dict[str, str]:
        """Give the environment of a process that finds this package."""
        own = {k: v for k, v in os.environ.items() if k not in ("AFX_LIVE_LIBRARY", "PYTHONPATH")}
        tests = Path(__file__).parents[1]
        return {**own, "PYTHONPATH": f"{self.place.parent}{os.pathsep}{tests}", **more}

    def run(self, *words: str, cwd: Path | None = None, **env: str) -> str:
        """Run Python with it to the end; returns what it printed."""
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=self.env(**env), cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """A copy of the rooms that play, with the library in it; what is compiled is kept in the user's cache folder."""
    return Package(tmp_path_factory.mktemp("package"))
