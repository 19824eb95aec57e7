"""The C library: the engine's very samples, a description that is the effects' own, and nothing that hurts a host."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.chain.numbered import order, parameters, path_values
from afx_live.effects import load, names
from afx_live.native import build
from afx_live.presets.plugin_state import from_state, to_state
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.safety import CEILING, LOOKAHEAD
from support import native_cases
from support.afx_library import Instance
from support.native_cases import CASES, by_engine, by_library, put, settings_at_random

EACH_LEVEL = pytest.mark.parametrize("level", build.levels())
EACH_CASE = pytest.mark.parametrize("case", range(len(CASES)))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(1).uniform(-0.3, 0.3, (9000, 2)).astype(np.float32)


# --- samples --------------------------------------------------------------------------------------


@pytest.mark.slow
@EACH_CASE
def test_it_plays_what_the_engine_plays(library, case):
    # Other instruction sets may round otherwise; a compressor that turns things up by 24 dB keeps that small, too.
    np.testing.assert_allclose(by_library(case, library), by_engine(case), rtol=0, atol=1e-6)


@pytest.mark.slow
@EACH_LEVEL
def test_on_the_same_instruction_set_it_is_the_engine_to_the_bit(library, level, tmp_path):
    if not library.level_runs(library.levels().index(level)):
        pytest.skip(f"this processor does not run {level}")
    env = {**os.environ, "NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": "", "AFX_LIVE_LIBRARY": "off"}
    subprocess.run([sys.executable, native_cases.__file__, tmp_path / "engine.npz"], check=True, env=env)
    with np.load(tmp_path / "engine.npz") as engine:
        for case in range(len(CASES)):
            ours = by_library(case, library, level)
            assert np.abs(ours).max() > 0.01
            assert np.array_equal(ours, engine[f"arr_{case}"]), CASES[case]


@pytest.mark.slow
@EACH_CASE
def test_levels_agree(library, case):
    runs = [level for i, level in enumerate(library.levels()) if library.level_runs(i)]
    first = by_library(case, library, runs[0])
    for level in runs[1:]:
        np.testing.assert_allclose(by_library(case, library, level), first, rtol=0, atol=1e-6)


def test_any_block_size_gives_the_same_bits(library, noise):
    # Also where changes come faster than cross-overs end: what waits is taken at an edge of the stream's clock.
    rng = np.random.default_rng(2)
    changes = {at: settings_at_random(rng, rng.permutation(order())) for at in (0, 300, 1500, 1600, 5000)}

    def play(size):
        instance, out, at = Instance(library, 48000.0), [], 0
        while at < len(noise):
            if at in changes:
                put(instance, changes[at])
            end = min([at + size, len(noise), *(c for c in changes if c > at)])
            out += [instance.process(noise[at:at]), instance.process(noise[at:end])]
            at = end
        return np.concatenate(out)

    whole = play(len(noise))
    for size in (1, 13, 64, 1000):
        assert np.array_equal(play(size), whole), size


def test_input_and_output_may_be_one_buffer(library, noise):
    import ctypes

    instance, other = Instance(library, 48000.0), Instance(library, 48000.0)
    for one in (instance, other):
        put(one, presets.load("lo-fi").settings)
    sound = np.ascontiguousarray(noise.T)
    pointers = (ctypes.c_void_p * 2)(*(row.ctypes.data for row in sound))
    library.process(other._own, pointers, pointers, len(noise))
    assert np.array_equal(sound.T, instance.process(noise))


def test_reset_leaves_silence_and_the_values(library, noise):
    instance, fresh = Instance(library, 48000.0), Instance(library, 48000.0)
    for one in (instance, fresh):
        put(one, presets.load("hall").settings)
    instance.process(noise)
    instance.reset()
    assert np.array_equal(instance.process(noise), fresh.process(noise))


def test_a_glide_begins_at_the_frame_it_is_asked_for(library, noise):
    def play(at):
        instance = Instance(library, 48000.0)
        first = instance.process(noise[:at])
        instance.set("output_gain_db", -20.0)
        return np.concatenate([first, instance.process(noise[at:])])

    still = Instance(library, 48000.0).process(noise)
    for at in (1024, 1025, 1087):
        moved = np.flatnonzero(np.any(play(at) != still, 1))[0] - LOOKAHEAD
        assert at <= moved <= at + 64 + 1, at


# --- what it says of itself -----------------------------------------------------------------------


def test_parameters_are_the_effects_own(library):
    assert library.paths() == [q.path for q in parameters()]
    assert library.effects() == list(order())
    assert set(order()) == set(names())
    for q in parameters():
        info, p = library.param_info(q.number).contents, q.param
        assert (info.low, info.high, info.initial) == (p.low, p.high, p.default)
        assert info.label.decode() == q.label
        assert info.doc.decode() == p.doc
        for unit in (0.0, 0.123, 0.5, 0.9, 1.0):
            value = library.param_value(q.number, unit)
            assert value == pytest.approx(p.clip(p.value(unit)), rel=1e-15, abs=1e-15)
            assert library.param_unit(q.number, value) == pytest.approx(p.unit(value), abs=1e-15)


@pytest.mark.parametrize("amount", [0.0, 0.31, 1.0])
def test_the_amount_is_the_chains(library, noise, amount):
    settings = settings_at_random(np.random.default_rng(5), order())
    instance = Instance(library, 48000.0)
    put(instance, settings, amount)
    theirs = Engine(settings.scaled(amount), 48000.0).process(noise)
    np.testing.assert_allclose(instance.process(noise), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("path", [q.path for q in parameters()])
def test_values_are_held_in_their_ranges(library, path):
    instance, p = Instance(library, 48000.0), next(q.param for q in parameters() if q.path == path)
    for wild, held in ((1e30, p.high), (-1e30, p.low), (np.inf, p.high), (-np.inf, p.low)):
        instance.set(path, wild)
        assert instance.get(path) == held
    before = instance.get(path)
    instance.set(path, np.nan)
    assert instance.get(path) == before


def test_latency_is_that_of_the_sound(library):
    for effects in ((), ("equaliser",), ("distortion",)):
        instance = Instance(library, 48000.0)
        put(instance, ChainSettings(tuple(EffectSettings(e) for e in effects)))
        x = np.zeros((600, 2), np.float32)
        x[100] = 0.5
        y = instance.process(x)
        late = int(np.abs(y[:, 0]).argmax()) - 100
        assert instance.latency == LOOKAHEAD + sum(load(e).latency for e in effects)
        assert abs(late - instance.latency) <= 1


@pytest.mark.parametrize("values", [{}, {"rt60_s": 0.2, "predelay_ms": 90.0}, {"hf_ratio": 1.0, "rt60_s": 0.5}])
def test_after_the_tail_there_is_nothing(library, values):
    instance = Instance(library, 48000.0)
    put(instance, ChainSettings((EffectSettings("reverb", {**values, "mix": 1.0}),)))
    x = np.zeros((instance.tail + 20000, 2), np.float32)
    x[:1000] = np.random.default_rng(0).uniform(-0.3, 0.3, (1000, 2))
    y = np.abs(instance.process(x))
    assert y[1000 + instance.tail :].max() < 1e-6 * y.max()
    assert y[1000 + instance.tail // 2 :].max() > 1e-5 * y.max(), "a tail that is told too long keeps hosts busy"


def test_meters_read_what_the_engine_measures(library, noise):
    settings = presets.load("drum-punch").settings
    instance, engine = Instance(library, 48000.0), Engine(settings, 48000.0)
    put(instance, settings)
    for _ in range(3):
        instance.process(noise)
        engine.process(noise)
    mine, theirs = instance.meters(), engine.shared.read()
    assert mine["out_lufs"] == pytest.approx(theirs["out_lufs"], abs=1e-6)
    assert mine["in_peak_db"] == pytest.approx(20 * np.log10(theirs["in_peak"]), abs=1e-6)
    place = 1 + [step.effect for step in settings.effects].index("compressor")
    assert mine["compressor_reduction_db"] == pytest.approx(theirs["gain_reduction_db"][place], abs=1e-6)
    assert mine["compressor_reduction_db"] < -0.5
    assert mine["limiter_reduction_db"] == 0.0


def test_nothing_passes_the_ceiling(library):
    instance = Instance(library, 48000.0)
    put(instance, ChainSettings((), 40.0, 40.0))
    wild = np.random.default_rng(0).uniform(-1e6, 1e6, (5000, 2)).astype(np.float32)
    wild[1000:1100], wild[2000:2100], wild[3000:3100] = np.nan, np.inf, -np.inf
    assert np.abs(instance.process(wild)).max() <= np.float32(CEILING)


@pytest.mark.parametrize(("rate", "channels"), [(7999, 2), (192001, 2), (np.nan, 2), (0, 1), (48000, 0), (48000, 3)])
def test_what_it_cannot_play_it_refuses(library, rate, channels):
    with pytest.raises(ValueError, match="refuses"):
        Instance(library, float(rate), channels)


# --- states ---------------------------------------------------------------------------------------


def test_a_state_is_that_of_a_preset(library):
    for name in presets.names():
        settings = presets.load(name).settings
        instance, other = Instance(library, 48000.0), Instance(library, 44100.0, 1)
        put(instance, settings, 0.7)
        assert instance.save() == to_state(settings, 0.7)
        assert other.load(instance.save())
        assert other.save() == instance.save()
        again, amount = from_state(instance.save())
        assert path_values(again, amount) == path_values(settings, 0.7)


def test_what_is_no_state_is_refused_and_changes_nothing(library):
    instance = Instance(library, 48000.0)
    put(instance, presets.load("lo-fi").settings)
    state, rng = instance.save(), np.random.default_rng(0)
    for broken in (b"", b"AFX", b"AFX1", state[:-1], b"AFX2" + state[4:], state[:40], state[:4] + b"\xff" * 60):
        assert not instance.load(broken)
    for _ in range(3000):
        bytes_ = bytearray(state)
        for at in rng.integers(0, len(state), rng.integers(1, 6)):
            bytes_[at] = rng.integers(0, 256)
        other = Instance(library, 48000.0)
        before = other.save()
        if not other.load(bytes(bytes_)):
            assert other.save() == before
    assert instance.save() == state


def test_a_state_from_another_version_is_understood(library):
    state = to_state(presets.load("lo-fi").settings)
    instance = Instance(library, 48000.0)
    assert instance.load(state.replace(b"equaliser", b"equalizer"))  # an effect nobody knows, and none where it was
    assert instance.get("distortion/drive_db") == 14.0
    assert instance.get("equaliser/low_shelf_db") == 0.0


# --- the code -------------------------------------------------------------------------------------


def test_it_shows_nothing_but_its_interface(built):
    shown = subprocess.run(["nm", "-D", "--defined-only", built], capture_output=True, text=True, check=True).stdout
    found = {line.split()[-1] for line in shown.splitlines()}
    declared = set(re.findall(r"AFX_API [^;]*?\b(afx_\w+)\(", (build.HERE / "afx.h").read_text()))
    assert found == declared


def test_it_needs_the_c_library_and_nothing_else(built):
    linked = subprocess.run(["ldd", built], capture_output=True, text=True, check=True).stdout
    others = {Path(line.split()[0]).name.split(".")[0] for line in linked.splitlines()}
    assert others <= {"linux-vdso", "libm", "libc", "ld-linux-x86-64", "ld-linux-aarch64"}


def test_a_kernel_that_calls_the_c_librarys_mathematics_does_not_get_in():
    import llvmlite.binding as llvm

    from afx_live.native.compile import UnfitError, _check

    module = llvm.parse_assembly("declare double @exp(double)")
    _check("design_gain", module)
    with pytest.raises(UnfitError, match="kernel_gain calls exp"):
        _check("kernel_gain", module)
    with pytest.raises(UnfitError, match="NRT_Allocate"):
        _check("play", llvm.parse_assembly("declare ptr @NRT_Allocate(i64)"))


def test_without_a_compiler_the_missing_tool_is_named(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(build.ToolError, match="C compiler"):
        build.compiler()
    monkeypatch.setenv("CC", "no-such-cc -O2")
    with pytest.raises(build.ToolError, match="no-such-cc"):
        build.compiler()


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["valgrind", "sanitizers"])
def test_nothing_is_read_or_written_where_it_must_not(tmp_path, tool):
    """The driver plays every effect at random settings, saves, loads, resets, and frees all it took."""
    program = tmp_path / "driver"
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if tool == "sanitizers" else []
    sources = [Path(__file__).with_name("driver.c"), *build.SOURCES]
    made_of = [*build.compiler(), "-std=c11", "-g", "-O1", f"-I{build.HERE}", f"-I{build.kit()}", *flags]
    subprocess.run([*made_of, *sources, *sorted(build.kit().glob("*.o")), "-o", program, "-lm"], check=True)
    words = [program]
    if tool == "valgrind":
        if not shutil.which("valgrind"):
            pytest.skip("no valgrind")
        words = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9", program]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "done\n"
