"""CONTRIBUTING's tremolo as an effect from outside the package: `pytest -p support.tremolo` registers it."""

import importlib.util
import re
import sys
import tempfile
from pathlib import Path

from afx_live.effects import register

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def source() -> str:
    """Give the page's file."""
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]


def load(folder: Path):
    """Write the page's file and import it as one of `effects`; gives the effect."""
    path = folder / "tremolo.py"
    path.write_text(source(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("afx_live.effects.tremolo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.effect


def register_tremolo():
    """Register the page's effect in this process."""
    register(load(Path(tempfile.mkdtemp())))


def pytest_configure():
    register_tremolo()
