"""Who may import whom, what stays light, and what an installed package consists of."""

import ast
import os
import re
import resource
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.effects import built_in

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "dsp": set(),
    "files": set(),
    "effects": {"dsp"},
    "chain": {"effects", "dsp"},
    "presets": {"files", "chain", "effects"},
    "matching": {"files", "presets", "chain", "effects", "dsp"},
    "realtime": {"matching", "files", "presets", "chain", "effects", "dsp"},
    "training": {"matching", "files", "chain", "effects", "dsp"},
    "native": {"realtime", "chain", "effects", "dsp"},
    "export": {"native", "training", "matching", "files", "presets", "chain", "effects", "dsp"},
    "study": {"training", "export", "files", "matching", "presets", "chain", "effects", "dsp"},
}
FLOORS = {
    "audio": set(),
    "batch": set(),
    "session": {"audio"},
    "osc": {"audio", "session"},
    "web": {"audio", "session"},
    "view": {"audio", "session"},
    "doctor": {"audio"},
    "cli": {"audio", "batch", "session", "osc", "web", "view", "doctor"},
}
"""The rooms within realtime/, and which of each other they may import."""
STUDY_FLOORS = ("pairs", "metrics", "methods", "systems", "run", "report")
"""The rooms within study/, from the bottom up."""
GIVES_FILES = ["dsp", "native", "training", "export", "study"]
"""Rooms that give files to import from, not names: together these would load numba or torch."""
LIVE = ["dsp", "files", "effects", "chain", "presets", "matching", "realtime"]
GPL = {"pedalboard", "matchering", "essentia", "aubio", "madmom"}
"""Packages whose licence would become ours. They live in bench/, as peers to compare with."""
SOUND = {"sounddevice", "soundfile", "soxr"}
EACH = pytest.mark.parametrize("room", MAY_IMPORT)
MOST_LINES, MOST_CLASS_LINES = 400, 200
SOURCES = {".py", ".c", ".h", ".js", ".css"}


def folder(room):
    return Path(str(import_module(f"afx_live.{room}").__file__)).resolve().parent


@cache
def files(*rooms):
    return [file for room in rooms or MAY_IMPORT for file in sorted(folder(room).rglob("*.py"))]


def module(file):
    """The dotted name of a file in a room, as (room, ..., name)."""
    room = next(room for room in MAY_IMPORT if file.is_relative_to(folder(room)))
    return (room, *file.relative_to(folder(room)).with_suffix("").parts)


@cache
def tree_of(file):
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports(file, top=False):
    """What a file imports, anywhere in it or only at its top: (dotted name of a module, name in it or None)."""
    return [*_imports(file, top)]


def _imports(file, top):
    tree = tree_of(file)
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = ("afx_live", *module(file))[: -node.level]
            yield from ((".".join((*above, *filter(None, [node.module]))), alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value), None


def packages(file):
    """The packages of others that a file imports."""
    return {name.split(".")[0] for name, _ in imports(file)}


@cache
def modules():
    """Every file by its dotted name; a package's is that of its `__init__`."""
    return {".".join(("afx_live", *(p for p in module(file) if p != "__init__"))): file for file in files()}


def our_files(file, known, top=False):
    """The files of ours that a file imports, directly."""
    for name, part in imports(file, top):
        for full in (f"{name}.{part}", name):
            if full in known:
                yield known[full]
                break


# --- arrows ---------------------------------------------------------------------------------------


@EACH
def test_a_room_imports_only_the_rooms_it_may(room):
    for file in files(room):
        found = {n.split(".")[1] if "." in n else p for n, p in imports(file) if n.split(".")[0] == "afx_live"}
        assert found & set(MAY_IMPORT) <= MAY_IMPORT[room] | {room}, file


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_of_realtime_imports_only_those_below(floor):
    known = modules()
    for file in (folder("realtime") / floor).rglob("*.py"):
        found = {module(other)[1] for other in our_files(file, known) if module(other)[0] == "realtime"}
        assert found & set(FLOORS) <= FLOORS[floor] | {floor}, file


@pytest.mark.parametrize("floor", STUDY_FLOORS)
def test_a_floor_of_the_study_imports_only_those_below(floor):
    known = modules()
    for file in (folder("study") / floor).rglob("*.py"):
        found = {module(other)[1] for other in our_files(file, known) if module(other)[0] == "study"}
        assert found & {*STUDY_FLOORS, "cli", "quickstart"} <= {*STUDY_FLOORS[: STUDY_FLOORS.index(floor) + 1]}, file


def test_no_circle_of_files():
    known = modules()
    below = {file: set(our_files(file, known)) - {file} for file in known.values()}
    while free := [file for file, others in below.items() if not others & below.keys()]:
        for file in free:
            del below[file]
    assert not below, "these import each other in a circle, or are imported by such"


@EACH
def test_no_room_takes_an_underscore_name_of_another(room):
    for file in files(room):
        for name, part in imports(file):
            parts = [*name.split("."), *filter(None, [part])]
            private = [p for p in parts if re.match(r"_[A-Za-z]", p)]
            assert not private or parts[:2] in (["afx_live", room], ["_ctypes"]) or parts[0] != "afx_live", (file, name)


@EACH
def test_rooms_import_each_other_relatively(room):
    # An absolute import would find the installed package from a checkout, and another version of itself.
    for file in files(room):
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ImportFrom):
                assert node.level or not (node.module or "").startswith("afx_live"), file
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("afx_live") for alias in node.names), file


@pytest.mark.parametrize("place", [*MAY_IMPORT, "tests", "bench", "docs"])
def test_files_and_classes_are_of_a_size_to_read(place):
    within = folder(place) if place in MAY_IMPORT else ROOT / place
    for file in within.rglob("*"):
        if file.suffix in SOURCES:
            assert file.read_text(encoding="utf-8").count("\n") <= MOST_LINES, file
    for file in within.rglob("*.py"):
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < MOST_CLASS_LINES, f"{file}: {node.name}"


@EACH
def test_a_room_says_what_it_is_for_and_gives_its_public_names(room):
    for file in folder(room).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file
    package = import_module(f"afx_live.{room}")
    for name in package.__all__:
        assert hasattr(package, name) or find_spec(f"{package.__name__}.{name}"), name


@EACH
def test_a_room_names_every_file_in_it(room):
    inside = folder(room)
    there = {f.stem for f in inside.glob("[!_]*.py")} | {f.parent.name for f in inside.glob("*/__init__.py")}
    if room == "effects":
        there -= {*built_in()}  # a new effect is one file
    assert there <= {*re.findall(r"\w+", import_module(f"afx_live.{room}").__doc__ or "")}


@pytest.mark.parametrize("room", GIVES_FILES)
def test_what_others_take_of_a_room_that_gives_files_is_what_it_gives(room):
    given = import_module(f"afx_live.{room}").__all__
    for file in files(*MAY_IMPORT.keys() - {room}):
        for name, part in imports(file):
            parts = [*name.split("."), part]
            assert parts[:2] != ["afx_live", room] or {*parts[2:3]} <= {*given}, (file, parts)


def test_no_room_imports_what_is_gpl():
    for file in [*files(), *(ROOT / "tests").rglob("*.py")]:
        tree = tree_of(file)
        found = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
        found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
        assert not {name.split(".")[0] for name in found} & GPL, file


def test_gpl_is_nobodys_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    assert not {re.findall(r"[\w-]+", d)[0].lower() for d in wanted} & GPL


@pytest.mark.parametrize("room", LIVE)
def test_live_rooms_never_name_torch(room):
    for file in files(room):
        if module(file) != ("effects", "_torch"):  # loaded only when a tensor is processed
            assert not packages(file) & {"torch", "torchaudio", "lightning", "onnx", "scipy"}, file


# --- what is loaded -------------------------------------------------------------------------------

RUN = """
import sys
sys.argv = ["afx-live", *sys.argv[1:]]
from afx_live.realtime.cli.main import main
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
    code = "import sys, afx_live.realtime.cli.main; print(*{m.split('.')[0] for m in sys.modules})"
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


def test_every_effect_and_a_chain_load_no_torch():
    code = """
import sys
import numpy as np
from afx_live import chain, effects
player = chain.ChainPlayer(chain.ChainSettings(tuple(map(chain.EffectSettings, effects.names()))), 48000)
player.play(np.zeros((10, 2)))
print(*{m.split('.')[0] for m in sys.modules})
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(found) & (HEAVY | SOUND | {"onnxruntime", "rich"})


def test_help_is_quick():
    """In processor time, which other programs do not take."""
    command, best = [sys.executable, "-m", "afx_live.realtime.cli.main", "--help"], np.inf
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "afx-live --reference ref.wav" in text
    assert best < 0.3


# --- the package ----------------------------------------------------------------------------------


@EACH
def test_a_room_is_typed(room):
    assert (folder(room) / "py.typed").is_file()


def test_pyproject_lists_every_room():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {f.parent.relative_to(ROOT) for room in MAY_IMPORT for f in (ROOT / room).rglob("*.py")}
    assert set(setuptools["packages"]) == {".".join(("afx_live", *path.parts)) for path in there}
    assert setuptools["package-dir"] == {f"afx_live.{room}": room for room in MAY_IMPORT}
    assert {f.parent.name for f in ROOT.glob("*/__init__.py")} <= set(MAY_IMPORT), "a folder with __init__.py is a room"


@EACH
def test_rooms_are_found_only_as_afx_live(room, tmp_path):
    code = f"import importlib.util as u; print(u.find_spec({room!r}) is None)"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.stdout.strip() == "True", done.stderr
