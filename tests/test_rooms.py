"""Who may import whom, what stays light, and what an installed package consists of."""

import ast
import os
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "effects": set(),
    "presets": {"effects"},
    "training": {"effects"},
    "realtime": {"effects", "presets"},
    "export": {"training", "effects"},
    "study": {"training", "export", "realtime", "effects", "presets"},
}
WITHIN = {"training": {"study"}}
"""Rooms within a room; every other room is flat."""
GPL = {"pedalboard", "matchering", "essentia", "aubio", "madmom"}
"""Packages whose licence would become ours. They live in bench/, as peers to compare with."""
SOUND = {"sounddevice", "soundfile", "soxr"}
EACH = pytest.mark.parametrize("room", MAY_IMPORT)


def folder(room):
    return Path(str(import_module(f"afx_live.{room}").__file__)).resolve().parent


def imports(file, room=""):
    """Full names of all that a file imports anywhere in it: at its top, in functions, and by `import_module`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = file.parent.relative_to(folder(room)).parts if room else ()
            above = ("afx_live", room, *inner)[: 3 + len(inner) - node.level] if node.level else ()
            whole = ".".join((*above, *filter(None, [node.module])))
            yield whole
            yield from (f"{whole}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value)


def rooms_of(names):
    return {n.split(".")[1] for n in names if re.match(r"afx_live\.\w", n)}


# --- arrows ---------------------------------------------------------------------------------------


@EACH
def test_a_room_imports_only_the_rooms_it_may(room):
    for file in folder(room).rglob("*.py"):
        found = rooms_of(imports(file, room)) & set(MAY_IMPORT)
        assert found <= MAY_IMPORT[room] | {room}, file


@EACH
def test_rooms_import_each_other_relatively(room):
    # An absolute import would find the installed package from a checkout, and another version of itself.
    for file in folder(room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level or not (node.module or "").startswith("afx_live"), file
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("afx_live") for alias in node.names), file


def test_no_room_imports_what_is_gpl():
    for file in [*(f for room in MAY_IMPORT for f in folder(room).rglob("*.py")), *(ROOT / "tests").glob("*.py")]:
        assert not {name.split(".")[0] for name in imports(file)} & GPL, file


def test_gpl_is_nobodys_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    assert not {re.findall(r"[\w-]+", d)[0].lower() for d in wanted} & GPL


@pytest.mark.parametrize("room", ["realtime", "presets"])
def test_live_rooms_never_name_torch(room):
    for file in folder(room).glob("*.py"):
        found = {name.split(".")[0] for name in imports(file, room)}
        assert not found & {"torch", "torchaudio", "lightning", "onnx", "scipy"}, file


def test_effects_name_torch_in_one_file():
    named = {f.name for f in folder("effects").glob("*.py") if "torch" in top_level(f)}
    assert named == {"_autograd.py"}


def top_level(file):
    """Names of packages that importing a file imports at once."""
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name.split(".")[0] for node in tree.body for name in names_of(node)}


def names_of(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [] if node.level else [node.module or ""]


# --- what is loaded -------------------------------------------------------------------------------

RUN = """
import sys
sys.argv = ["afx-live", *sys.argv[1:]]
from afx_live.realtime.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
sys.stderr.write("\\nLOADED " + " ".join(sorted({m.split(".")[0] for m in sys.modules})) + "\\n")
sys.exit(code)
"""


def loaded(*words, cwd=None):
    """Run afx-live with these words in a process of its own; returns the packages that it loaded."""
    done = subprocess.run([sys.executable, "-c", RUN, *map(str, words)], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^LOADED (.*)$", done.stderr, re.M)[0].split())


HEAVY = {"torch", "torchaudio", "lightning", "onnx", "onnxscript", "librosa"}
"""Not scipy: numba takes its LAPACK where there is one."""
LATER = HEAVY | SOUND | {"scipy", "numba", "numpy", "onnxruntime", "rich"}


def test_command_line_loads_nothing_heavy():
    code = "import sys, afx_live.realtime.cli; print(*{m.split('.')[0] for m in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(found) & LATER


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["render", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(words):
    assert not loaded(*words) & LATER


@pytest.mark.parametrize("words", [["osc"], ["osc", "--markdown"], ["preset", "list"]], ids=" ".join)
def test_tables_load_no_torch(words):
    assert not loaded(*words) & HEAVY


def test_render_loads_no_torch(tmp_path):
    x = 0.1 * np.random.default_rng(0).standard_normal((24000, 2))
    soundfile.write(tmp_path / "in.wav", x, 48000)
    assert not loaded("render", "in.wav", "--preset", "telephone", "-o", "out.wav", "-q", cwd=tmp_path) & HEAVY
    y, rate = soundfile.read(tmp_path / "out.wav")
    assert (len(y), rate) == (24000, 48000)
    assert np.abs(y).max() > 0.01


def test_every_effect_and_a_rack_load_no_torch():
    code = """
import sys
import numpy as np
from afx_live import effects
rack = effects.Rack(effects.Settings(tuple(map(effects.Step, effects.names()))), 48000)
rack.play(np.zeros((10, 2)))
print(*{m.split('.')[0] for m in sys.modules})
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(found) & (HEAVY | SOUND | {"onnxruntime", "rich"})


def test_help_is_quick():
    script = Path(sys.executable).with_name("afx-live")
    best = np.inf
    for _ in range(5):
        begin = time.perf_counter()
        text = subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout
        best = min(best, time.perf_counter() - begin)
    assert "afx-live --reference ref.wav" in text
    assert best < 0.3


# --- the package ----------------------------------------------------------------------------------


@EACH
def test_a_room_is_flat_and_typed(room):
    here = folder(room)
    assert (here / "__init__.py").is_file()
    assert (here / "py.typed").is_file()
    deeper = {f.parent for f in here.rglob("*.py") if f.parent != here}
    assert deeper == {here / name for name in WITHIN.get(room, ())}, "setuptools leaves unlisted modules out"


def test_pyproject_lists_every_room():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = {*MAY_IMPORT, *(f"{room}/{inner}" for room, inners in WITHIN.items() for inner in inners)}
    listed = {"afx_live." + room.replace("/", "."): room for room in rooms}
    assert set(setuptools["packages"]) == set(listed)
    assert setuptools["package-dir"] == listed
    there = {f.parent.name for f in ROOT.glob("*/__init__.py")}
    assert there <= set(MAY_IMPORT), "a folder with __init__.py is a room, and pyproject.toml and this test name it"


@EACH
def test_rooms_are_found_only_as_afx_live(room, tmp_path):
    code = f"import importlib.util as u; print(u.find_spec({room!r}) is None)"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.stdout.strip() == "True", done.stderr
