"""Build the wheel, with the compiled library in it if there is a C compiler; everything else stands in pyproject.toml.

Without a compiler, or if it fails, the wheel is the same without the library: numba then compiles at the first start.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOM = Path("afx_live", "native")
LIBRARY = "libafx-live.so"


class BuildPy(build_py):
    """Copy the sources, then compile them where they were copied to."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        room = Path(self.build_lib).resolve() / ROOM
        (room / LIBRARY).unlink(missing_ok=True)
        shutil.rmtree(room / "kit", ignore_errors=True)
        paths = [str(room.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, "-m", "afx_live.native.build", str(room)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(room / "kit", ignore_errors=True)
            self.warn(f"the wheel is built without the compiled library: {done.stderr.strip()[-2000:]}")


class Wheel(bdist_wheel):
    """Name the platform if there is compiled code; it is for any Python."""

    def get_tag(self) -> tuple[str, str, str]:
        tag = super().get_tag()
        if not Path(self.get_finalized_command("build").build_lib, ROOM, LIBRARY).is_file():
            return tag
        return "py3", "none", sysconfig.get_platform().replace("-", "_").replace(".", "_")


setup(cmdclass={"build_py": BuildPy, "bdist_wheel": Wheel})
