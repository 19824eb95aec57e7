"""CLAP plug-ins, in a host of our own that walks through their whole life."""

import ctypes
import threading
import zlib

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain.numbered import parameters
from afx_live.export.cli import main as export
from afx_live.export.plugin import make_plugin
from afx_live.matching import match_clip, read_clip, read_reference
from afx_live.presets import clip
from afx_live.presets.plugin_state import from_state, to_state
from afx_live.realtime.audio.engine import Engine
from support.clap_host import Bundle, Number, Port, Ports

pytestmark = pytest.mark.slow  # a plug-in is compiled

RATES = (44100.0, 48000.0, 96000.0)
READ_ONLY = 8


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("clap") / "lo-fi.clap"
    make_plugin(presets.load("lo-fi"), path)
    return Bundle(path)


@pytest.fixture
def plugin(bundle):
    made = bundle.create()
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).uniform(-0.4, 0.4, (20000, 2)).astype(np.float32)


def identity(plugin, path):
    """A parameter's id by its path: FNV-1a, which no version may change."""
    hashed = 2166136261
    for byte in path.encode():
        hashed = (hashed ^ byte) * 16777619 % 2**32
    assert hashed in plugin.by_id
    return hashed


def test_a_scan_finds_stereo_and_mono(bundle):
    found = bundle.descriptors()
    assert [d.id for d in found] == [b"afx-live.lo-fi", b"afx-live.lo-fi.mono"]
    assert found[0].text.decode() == presets.load("lo-fi").notes
    for d, width in zip(found, (b"stereo", b"mono"), strict=True):
        assert (d.features[0], d.features[1], d.features[2]) == (b"audio-effect", width, None)
    assert not bundle.factory.contents.create(bundle.factory, ctypes.byref(bundle.host), b"somebody.else")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_it_plays_what_the_engine_plays(bundle, noise, rate, channels):
    plugin, x = bundle.create(channels), noise[:, :channels]
    plugin.activate(rate)
    theirs = Engine(presets.load("lo-fi").settings, rate, channels).process(x)
    np.testing.assert_allclose(plugin.process(x), theirs, rtol=0, atol=1e-6)
    plugin.stop()
    plugin.activate(rate)
    parts = [plugin.process(x[at : at + 777], in_place=True) for at in range(0, len(x), 777)]
    np.testing.assert_allclose(np.concatenate(parts), theirs, rtol=0, atol=1e-6)
    plugin.stop()
    plugin.destroy()


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_loads_as_a_state(bundle, noise, name):
    plugin, preset = bundle.create(), presets.load(name)
    assert plugin.load(to_state(preset.settings))
    plugin.activate(48000.0)
    theirs = Engine(preset.settings, 48000.0).process(noise)
    np.testing.assert_allclose(plugin.process(noise), theirs, rtol=0, atol=1e-6)
    assert from_state(plugin.save()) == from_state(to_state(preset.settings))
    plugin.stop()
    plugin.destroy()


def test_ports_are_one_in_and_one_out(bundle):
    for channels, kind in ((1, b"mono"), (2, b"stereo")):
        plugin = bundle.create(channels)
        ports = plugin.extension("clap.audio-ports", Ports)
        for is_input in (True, False):
            assert ports.count(plugin.own, is_input) == 1
            port = Port()
            assert ports.get(plugin.own, 0, is_input, ctypes.byref(port))
            assert not ports.get(plugin.own, 1, is_input, ctypes.byref(port))
            assert (port.channel_count, port.type, port.flags) == (channels, kind, 1)
        plugin.destroy()


def test_parameters_are_named_ranged_and_spelled(plugin):
    assert sum(not info.flags & READ_ONLY for info in plugin.infos.values()) == len(parameters())
    for q in parameters():
        info = plugin.by_id[identity(plugin, q.path)]
        name = info.module.decode() + "/" + info.name.decode()
        linear = q.param.curve == "linear"
        assert (info.low, info.high) == ((q.param.low, q.param.high) if linear else (0.0, 1.0))
        assert info.low <= info.default <= info.high
        assert plugin.value(name) == info.default
        assert bool(info.flags & 1) == q.switch
        assert bool(info.flags & 16) == (q.path == "bypass")
        assert info.flags & 32
        for share in (0.0, 0.37, 1.0):
            value = info.low + share * (info.high - info.low)
            if q.switch:
                value = round(value)
            text = plugin.text(name, value)
            native = value if linear else q.param.value(value)
            again = plugin.from_text(name, text)
            back = again if linear else q.param.value(again)
            assert back == pytest.approx(native, abs=6e-2 if q.unit == "hz" else 6e-4), text
    assert plugin.text("compressor/Compressor threshold", -18.0) == "-18.000 dB"
    assert plugin.text("distortion/Distortion on", 1.0) == "on"
    assert plugin.from_text("reverb/Reverb mix", "lots") is None


def test_automation_is_exact_to_the_sample(bundle, noise):
    """A change inside a block is the same as a block that begins there, wherever blocks are cut."""

    def play(cuts, at):
        plugin = bundle.create()
        plugin.activate(48000.0)
        out, drive, level = [], identity(plugin, "distortion/drive_db"), identity(plugin, "output_gain_db")
        for first, last in zip([0, *cuts], [*cuts, len(noise)], strict=True):
            changes = [(at - first, drive, 30.0), (at - first, level, -6.0)] if first <= at < last else []
            out.append(plugin.process(noise[first:last], changes))
        plugin.stop()
        plugin.destroy()
        return np.concatenate(out)

    at = 4321
    whole = play([], at)
    for cuts in ([at], [4000], [100, 4322, 9000], list(range(64, len(noise), 64))):
        assert np.array_equal(play(cuts, at), whole)
    assert np.array_equal(play([], at + 64)[:at], whole[:at])
    assert not np.array_equal(play([], at + 64)[at : at + 300], whole[at : at + 300])


def test_several_changes_in_one_block_are_taken_in_turn(bundle, noise):
    first, second = bundle.create(), bundle.create()
    for plugin in (first, second):
        plugin.activate(48000.0)
    level = identity(first, "output_gain_db")
    times = [0, 10, 10, 1000, 5000, len(noise) - 1]
    whole = first.process(noise, [(t, level, float(-i)) for i, t in enumerate(times)])
    parts = []
    for i, (a, b) in enumerate(zip(times, [*times[1:], len(noise)], strict=True)):
        parts.append(second.process(noise[a:b], [(0, level, float(-i))]))
    assert np.array_equal(np.concatenate(parts), whole)
    for plugin in (first, second):
        plugin.stop()
        plugin.destroy()


def test_a_block_of_no_frames_takes_its_changes(plugin, noise):
    plugin.activate(48000.0)
    plugin.process(noise[:100])
    assert plugin.process(noise[:0], [(0, identity(plugin, "amount"), 0.0)]).shape == (0, 2)
    assert plugin.value("/Amount") == 0.0
    plugin.stop()


def test_values_that_nothing_has_are_left_out(plugin, noise):
    before = plugin.save()
    plugin.activate(48000.0)
    changes = [(0, 12345, 1.0), (0, identity(plugin, "reverb/mix"), np.nan)]
    assert np.isfinite(plugin.process(noise, changes)).all()
    plugin.stop()
    assert plugin.save() == before


def test_a_flush_while_at_rest_is_kept(plugin):
    plugin.flush([(0, identity(plugin, "reverb/mix"), 0.77)])
    assert plugin.value("reverb/Reverb mix") == 0.77
    assert from_state(plugin.save())[0].effect("reverb").values["mix"] == 0.77


def test_latency_is_told_and_a_change_of_it_asks_for_a_restart(bundle, plugin, noise):
    plugin.activate(48000.0)
    latency = plugin.extension("clap.latency", Number)
    assert latency.get(plugin.own) == 68
    before = bundle.restarts
    switch = identity(plugin, "distortion/on")
    plugin.process(noise, [(50, switch, 0.0)])
    plugin.process(noise)
    assert latency.get(plugin.own) == 68, "it must not change while active"
    assert bundle.restarts == before + 1
    plugin.stop()
    plugin.activate(48000.0)
    assert latency.get(plugin.own) == 63
    plugin.stop()


def meters(plugin):
    """Names of the meters without their module, by id."""
    return {info.id: info.name.decode() for info in plugin.infos.values() if info.flags & READ_ONLY}


def test_meters_are_told_as_the_engine_measures_them(bundle, noise):
    plugin, engine = bundle.create(), Engine(presets.load("drum-punch").settings, 48000.0)
    plugin.load(to_state(presets.load("drum-punch").settings))
    plugin.activate(48000.0)
    told, names, events = {}, meters(plugin), 0
    for at in range(0, len(noise), 500):
        plugin.process(noise[at : at + 500])
        engine.process(noise[at : at + 500])
        assert all(0 <= time < 500 and identity in names for time, identity, _ in plugin.told)
        told |= {names[identity]: value for _, identity, value in plugin.told}
        events += bool(plugin.told)
        if plugin.told:
            heard = engine.shared.read()
            assert told["In peak"] == pytest.approx(20 * np.log10(heard["in_peak"]), abs=1e-3)
            assert told["Out loudness (LUFS)"] == pytest.approx(max(heard["out_lufs"], -120.0), abs=1e-3)
            assert told["Compressor gain reduction"] == pytest.approx(min(heard["gain_reduction_db"]), abs=1e-3)
    assert told["Compressor gain reduction"] < -0.5
    assert events == pytest.approx(30 * len(noise) / 48000, abs=2), "30 times a second, not at every block"
    for name, value in told.items():
        assert plugin.value(f"meters/{name}") == value
        assert plugin.text(f"meters/{name}", -3.25) in ("-3.2", "-3.3")
        assert plugin.from_text(f"meters/{name}", "-3.2") is None
    plugin.stop()
    plugin.destroy()


def test_nobody_sets_a_meter_and_no_state_holds_it(plugin, noise):
    before = plugin.save()
    plugin.activate(48000.0)
    plugin.process(noise, [(0, identity, 12.0) for identity in meters(plugin)])
    assert all(plugin.value(f"meters/{name}") != 12.0 for name in meters(plugin).values())
    assert plugin.save() == before
    plugin.stop()


def test_a_host_that_takes_no_event_now_is_told_again(plugin, noise):
    plugin.activate(48000.0)
    plugin.listens = False
    plugin.process(noise[:2000])
    first = plugin.told
    assert first
    plugin.listens = True
    plugin.process(noise[2000:4000])
    assert {identity for _, identity, _ in first} <= {identity for _, identity, _ in plugin.told}
    plugin.stop()


def test_the_tail_is_told(plugin):
    plugin.activate(48000.0)
    tail = plugin.extension("clap.tail", Number).get(plugin.own)
    assert 0.5 * 48000 < tail < 0.8 * 48000  # a decay time of 0.3 s
    plugin.stop()


def test_a_state_comes_back_in_pieces_of_any_size(bundle, plugin):
    rescans = bundle.rescans
    state = to_state(presets.load("hall").settings, 0.4)
    for size in (1, 7, 100000):
        assert plugin.load(state, size)
        assert plugin.save(size) == state
    assert bundle.rescans == rescans + 3
    assert not plugin.load(b"no state at all")
    assert plugin.save() == state


def test_a_state_that_comes_while_it_plays_crosses_over(bundle, noise):
    plugin, slow = bundle.create(), np.full((2000, 2), 0.2, np.float32)
    plugin.load(to_state(presets.load("warm").settings))
    plugin.activate(48000.0)
    plugin.process(np.tile(slow, (3, 1)))
    state = to_state(presets.load("telephone").settings)
    assert plugin.load(state)
    y = plugin.process(np.tile(slow, (3, 1)))
    assert np.abs(np.diff(y, axis=0)).max() < 0.02
    assert plugin.save() == state
    plugin.stop()
    plugin.destroy()


def test_the_main_thread_may_load_and_save_while_it_plays(bundle, noise):
    plugin, failed = bundle.create(), []
    plugin.activate(48000.0)
    states = [to_state(presets.load(name).settings) for name in ("warm", "hall", "telephone")]

    def main_thread():
        for i in range(150):
            if not plugin.load(states[i % 3], 100000) or plugin.save(100000) != states[i % 3]:
                failed.append(i)

    other = threading.Thread(target=main_thread)
    other.start()
    while other.is_alive():
        assert np.isfinite(plugin.process(noise[:512])).all()
    assert not failed
    plugin.stop()
    plugin.destroy()


def test_reset_forgets_what_was_played(plugin, noise):
    plugin.activate(48000.0)
    first = plugin.process(noise)
    plugin.call("reset")
    assert np.array_equal(plugin.process(noise), first)
    plugin.stop()


def test_a_thousand_at_once(bundle, noise):
    many = [bundle.create(1 + i % 2) for i in range(1000)]
    sums = {1: set(), 2: set()}
    for i, plugin in enumerate(many):
        plugin.activate(48000.0)
        sums[1 + i % 2].add(zlib.crc32(plugin.process(noise[:500, : 1 + i % 2]).tobytes()))
    assert [len(s) for s in sums.values()] == [1, 1]
    for plugin in many[::3]:
        plugin.stop()
        plugin.destroy()
    alive = [p for i, p in enumerate(many) if i % 3]
    assert np.isfinite(alive[0].process(noise[:500, : alive[0].channels])).all()
    for plugin in alive:
        plugin.destroy()  # also without deactivation


@pytest.mark.parametrize("rate", [0.0, 7999.0, 1e9])
def test_a_rate_that_it_cannot_play_is_refused(plugin, rate):
    assert not plugin.call("activate", rate, 1, 512)
    plugin.activate(48000.0)
    plugin.stop()


# --- from a match ---------------------------------------------------------------------------------


def test_a_match_becomes_a_plug_in(tmp_path, model):
    export(["plugin", str(clip("guitar")), "-r", str(clip("guitar_reference")), "-o", str(tmp_path / "mine.clap")])
    found = match_clip(read_clip(clip("guitar")), model, [read_reference(clip("guitar_reference"), model)])
    plugin = Bundle(tmp_path / "mine.clap").create()
    assert plugin.save() == to_state(found.settings)
    assert any(step.enabled for step in found.settings.effects)
    plugin.destroy()


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--reference", "ref.wav"], 2, "needs a recording"),
        (["no-such.wav", "--reference", "no-such.wav"], 4, "no-such.wav"),
        ([str(clip("guitar")), "--reference", str(clip("guitar_reference")), "--amount", "2"], 2, "--amount"),
    ],
)
def test_what_cannot_be_matched_is_said(tmp_path, capsys, words, code, why):
    with pytest.raises(SystemExit) as end:
        export(["plugin", *words, "-o", str(tmp_path / "x.clap")])
    assert end.value.code == code
    assert why in capsys.readouterr().err
    assert not (tmp_path / "x.clap").exists()
