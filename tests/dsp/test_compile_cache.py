"""Compiled code on disk: never stale, never in the way, and there for any order of effects."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from afx_live import effects

HERE = Path(effects.__file__).parent
TONE = '''
"""An effect of this test's: a new file is a new effect. It filters, so it is built from an imported file."""

from ..dsp import biquad
from ._effect import Effect, Param


def design(sample_rate, tone_db):
    return biquad.peak(sample_rate, 1000.0, tone_db, 1.0)


def kernel(x, state, start, coef, step, tape):
    biquad.run(x, state, start, coef, step, tape, 1)


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    biquad.run_adjoint(g, state, start, coef, step, tape, gcoef, gstep, 1)


effect = Effect(
    (Param("tone_db", -18.0, 18.0, 6.0, "boost or cut"),),
    design,
    kernel,
    adjoint,
    state_size=lambda sample_rate, channels: biquad.state_size(channels),
    tape_size=biquad.tape_size,
    linear=True,
    summary=lambda values: f"{values['tone_db']:+.1f} dB @ 1 kHz",
    prior=lambda rng: {"tone_db": rng.uniform(-18.0, 18.0)},
)
'''
PLAY = """
import json, sys, time
from numba.core import event
begin = time.perf_counter()
with event.install_recorder("numba:compile") as compiled:
    import numpy as np
    from pathlib import Path
    from afx_live import chain, effects
    from afx_live.dsp import sources
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (500, 2))
    values = {"gain": {"gain_db": 6.0}, "tone": {"tone_db": 6.0}}
    order = sys.argv[1].split(",")
    steps = tuple(chain.EffectSettings(n, values.get(n, {})) for n in order)
    y = chain.ChainPlayer(chain.ChainSettings(steps), 48000.0).play(x)
print(json.dumps({
    "file": effects.__file__,
    "names": effects.names(),
    "y": y[:, 0].tolist(),
    "gain": float(np.abs(y).max() / np.abs(x).max()),
    "compiled": len(compiled.buffer),
    "seconds": time.perf_counter() - begin,
    "cacheable": sources.folder() is not None,
    "first": [sources.first_start(Path(effects.__file__).parent.glob("*.py")) for _ in range(2)],
}))
"""


class Copy:
    """A copy of the rooms that play, with a home of its own; most effects are left out, as compiling takes long."""

    def __init__(self, folder):
        self.home, self.cache = folder / "home", folder / "cache"
        self.room = folder / "copy" / "afx_live" / "effects"
        for name in ("dsp", "chain"):
            shutil.copytree(HERE.parent / name, self.room.with_name(name))
        self.room.mkdir()
        self.home.mkdir()
        for file in [*HERE.glob("_*.py"), HERE / "gain.py"]:
            shutil.copy(file, self.room)
        (self.room / "tone.py").write_text(TONE)

    def edit(self, name, old, new):
        text = (self.room / name).read_text()
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        (self.room / name).write_text(text.replace(old, new))

    def play(self, order="tone,gain"):
        env = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
        env |= {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.cache), "PYTHONPATH": str(self.room.parents[1])}
        done = subprocess.run([sys.executable, "-c", PLAY, order], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert Path(found["file"]).parent == self.room
        return found

    def kept(self):
        """Files of compiled code, with the time of their last change."""
        return {f.name: f.stat().st_mtime_ns for f in self.cache.rglob("*.nb[ci]")}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def cold(copy):
    return copy.play()


@pytest.mark.slow
def test_a_new_file_is_a_new_effect(cold):
    assert cold["names"] == ["gain", "tone"]
    assert cold["compiled"] > 0
    assert cold["cacheable"]
    assert cold["first"] == [True, False]


@pytest.mark.slow
def test_warm_start_compiles_nothing_in_any_order(copy, cold):
    before = copy.kept()
    assert before
    again = copy.play()
    assert again["y"] == cold["y"]
    for found in (again, copy.play("gain,tone"), copy.play("tone"), copy.play("gain")):
        assert found["compiled"] == 0
        assert found["first"] == [False, False]
    assert copy.kept() == before


@pytest.mark.slow
def test_compiled_code_lies_in_the_users_cache_folder(copy, cold):
    assert all("afx-live" in f.parts for f in copy.cache.rglob("*.nb[ci]"))
    assert not list(copy.room.parent.rglob("*.nb[ci]"))
    assert not list(copy.home.rglob("*.nb[ci]"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("gain.py", "flat[i] *= coef[0]\n", "flat[i] *= 2.0 * coef[0]\n"),
        (
            "../dsp/biquad.py",
            "return (1.0 + alpha * a) / a0, cos / a0,",
            "return 2.0 * (1.0 + alpha * a) / a0, cos / a0,",
        ),
    ],
    ids=["an effect", "a file that an effect imports"],
)
def test_an_edit_is_heard(copy, cold, name, old, new):
    original = (copy.room / name).read_text()
    times = os.stat(copy.room / name)
    copy.edit(name, old, new)
    os.utime(copy.room / name, ns=(times.st_atime_ns, times.st_mtime_ns))  # age does not tell
    edited = copy.play()
    (copy.room / name).write_text(original)
    assert edited["compiled"] > 0
    assert edited["first"][0]
    change = max(abs(a - b) for a, b in zip(edited["y"], cold["y"], strict=True))
    assert change > 0.1
    if name == "gain.py":
        assert edited["y"] == [8.0 * v for v in cold["y"]]  # the effect, and the chain's gains before and after


@pytest.mark.slow
def test_the_original_plays_as_before_after_edits(copy, cold):
    assert copy.play()["y"] == cold["y"]


@pytest.mark.slow
def test_without_a_cache_folder_it_compiles_in_memory_and_plays(copy, cold, tmp_path, monkeypatch):
    # As root one may write anywhere: a file where the folder should be is what nobody can write into.
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(copy, "cache", blocked)
    found = copy.play()
    assert found["y"] == cold["y"]
    assert not found["cacheable"]
    assert found["first"] == [True, True]
    assert blocked.read_text() == ""
    assert not list(copy.room.parent.rglob("*.nb[ci]"))
