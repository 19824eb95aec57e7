"""The library that the package carries: the live side plays it without a compiler, and never one that is stale."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from afx_live.native import build
from afx_live.presets import clip
from support import native_cases

pytestmark = pytest.mark.slow  # a library is compiled

COMPILERS = {"numba", "llvmlite"}
SAID = """
import json
from afx_live.dsp import library
ready = library.opened()
print(json.dumps(ready and ready.name))
"""
RUN = """
import json, sys
sys.argv = ["afx-live", *sys.argv[1:]]
from afx_live.realtime.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *sorted({m.split(".")[0] for m in sys.modules}))
"""


def homes(folder: Path) -> dict[str, str]:
    """A home that nobody has ever used."""
    folder.mkdir(exist_ok=True)
    kinds = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "AFX_LIVE_HOME", "HOME")
    return dict.fromkeys(kinds, str(folder))


def test_it_is_there_for_the_best_level_that_runs(package):
    assert json.loads(package.run("-c", SAID)) in build.levels()
    assert json.loads(package.run("-c", SAID, AFX_LIVE_LIBRARY="off")) is None


@pytest.mark.slow
@pytest.mark.parametrize("sound", [("--preset", "lo-fi"), ("--reference", str(clip("guitar_reference")))], ids=str)
def test_render_neither_loads_nor_needs_a_compiler(package, tmp_path, sound):
    words = ["render", str(clip("guitar")), *sound, "-o", str(tmp_path / "out.wav")]
    said = package.run("-c", RUN, *words, cwd=tmp_path, **homes(tmp_path / "home"))
    assert not set(said.splitlines()[-1].split()) & COMPILERS
    assert "compiling" not in said
    assert not list((tmp_path / "home").rglob("*.nb?"))
    assert (tmp_path / "out.wav").stat().st_size > 100_000


def test_the_library_for_python_loads_no_compiler_either(package):
    code = """
import sys
import numpy as np
from afx_live.chain import Chain, Compressor, Equaliser, Reverb
from afx_live.dsp.loudness import integrated_loudness, k_weighting_response
from afx_live.effects import load
from afx_live.matching import match
x = np.random.default_rng(0).uniform(-0.3, 0.3, (96000, 2))
board = Chain([Equaliser(peak_1_db=3.0), Compressor(), Reverb()])
assert np.abs(board(x, 48000)).max() > 0.1
assert np.isfinite(load("equaliser").jacobian(list(load("equaliser").defaults.values()), 48000.0)).all()
integrated_loudness(x, 48000.0), k_weighting_response([100.0], 44100.0)
match(x, 0.3 * x, 48000)
print(*{m.split(".")[0] for m in sys.modules})
"""
    assert not set(package.run("-c", code).split()) & COMPILERS


@pytest.mark.jack
def test_live_neither_loads_nor_needs_a_compiler(package, jack, tmp_path):
    env = package.env(**homes(tmp_path / "home"), **jack.env)
    words = ["--reference", str(clip("guitar_reference")), "--osc", "off"]
    with open(tmp_path / "said", "w") as said:
        live = subprocess.Popen(
            [sys.executable, "-m", "afx_live.realtime.cli.main", *words], env=env, stdout=said, stderr=said
        )
    try:
        end = time.monotonic() + 120
        while len(found := _family(live.pid)) < 2 or not any(_plays(pid) for pid in found):
            assert live.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < end, "it does not play"
            time.sleep(0.1)
        for pid in found:
            mapped = Path(f"/proc/{pid}/maps").read_text()
            assert "llvmlite" not in mapped
            assert "native/libafx-live.so" in mapped
    finally:
        live.send_signal(signal.SIGINT)
        live.wait(30)
    assert "compiling" not in (tmp_path / "said").read_text()
    assert not list((tmp_path / "home").rglob("*.nb?"))


def _family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _plays(pid: int) -> bool:
    from afx_live.realtime.audio.shared_memory import METERS

    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    shared = {line.split(maxsplit=5)[5] for line in lines if "/afx-live-" in line and line.endswith("/shared")}
    return any(Path(p).exists() and int(np.fromfile(p, METERS, 1)["callbacks"][0]) > 0 for p in shared)


def test_it_plays_what_numba_compiles_to_the_bit(package, tmp_path):
    level = json.loads(package.run("-c", SAID))
    numba = {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": "", "AFX_LIVE_LIBRARY": "off"}
    package.run(native_cases.__file__, str(tmp_path / "library.npz"))
    package.run(native_cases.__file__, str(tmp_path / "numba.npz"), **numba)
    with np.load(tmp_path / "library.npz") as ours, np.load(tmp_path / "numba.npz") as theirs:
        for name in theirs:
            assert np.abs(ours[name]).max() > 0.01
            assert np.array_equal(ours[name], theirs[name]), name


def test_an_effect_from_outside_plays_beside_it(package):
    code = """
import sys
import numpy as np
from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.dsp import library
from afx_live.effects import Effect, Param, load, register
gain = load("gain")
def kernel(x, state, start, coef, step, tape):
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            x[n, c] *= 2.0 * coef[0]
twice = register(Effect(gain.params, gain.design, kernel, gain.adjoint, gain.state_size, gain.tape_size, True,
                        gain.summary, gain.prior, name="twice"))
x = np.random.default_rng(0).uniform(-0.2, 0.2, (500, 2))
play = lambda *names: ChainPlayer(ChainSettings(tuple(map(EffectSettings, names))), 48000.0).play(x)
assert library.function("kernel", gain.kernel) and not library.function("kernel", kernel)
print(float(np.abs(play("equaliser", "twice") - 2.0 * play("equaliser")).max()))
"""
    assert float(package.run("-c", code)) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("file", ["dsp/biquad.py", "chain/player.py", "effects/reverb.py", "realtime/audio/safety.py"])
def test_a_stale_library_never_plays(package, tmp_path, file):
    shutil.copytree(package.place, tmp_path / "afx_live", copy_function=os.link)
    edited = tmp_path / "afx_live" / file
    text = edited.read_text()
    edited.unlink()
    edited.write_text(f"{text}\n# edited\n")
    assert json.loads(package.run("-c", SAID, PYTHONPATH=str(tmp_path))) is None
    edited.unlink()
    assert json.loads(package.run("-c", SAID, PYTHONPATH=str(tmp_path))) is None


def test_a_broken_library_is_left_aside(package, tmp_path):
    shutil.copytree(package.place, tmp_path / "afx_live", copy_function=os.link)
    broken = tmp_path / "afx_live" / "native" / "libafx-live.so"
    broken.unlink()
    broken.write_bytes(b"not a library")
    assert json.loads(package.run("-c", SAID, PYTHONPATH=str(tmp_path))) is None


# --- the wheel ------------------------------------------------------------------------------------


def wheel(folder: Path, **env: str) -> Path:
    """Build the wheel of a copy of this tree, in this environment."""
    top = Path(__file__).parents[2]
    source = folder / "source"
    ignored = shutil.ignore_patterns(
        ".*", "build", "dist", "__pycache__", "*.egg-info", "bench", "runs", "libafx-live.so", "kit"
    )
    shutil.copytree(top, source, ignore=ignored)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    done = subprocess.run([sys.executable, *words], env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def names_in(file: Path) -> set[str]:
    import zipfile

    return set(zipfile.ZipFile(file).namelist())


def test_the_wheel_carries_it_and_names_the_platform(tmp_path):
    made = wheel(tmp_path)
    assert re.fullmatch(r"afx_live-[\d.]+-py3-none-\w*(linux|macosx)\w*\.whl", made.name)
    assert {"afx_live/native/libafx-live.so", "afx_live/native/kit/afx_generated.h"} <= names_in(made)


def test_without_a_c_compiler_the_wheel_is_pure(tmp_path):
    made = wheel(tmp_path, CC="no-such-compiler")
    assert made.name.endswith("-py3-none-any.whl")
    assert not [name for name in names_in(made) if name.endswith((".so", ".o"))]
