"""LV2 plug-ins, in hosts that others wrote: lv2apply, ffmpeg, ecasound, jalv; and LV2's own validators."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.chain.numbered import order, parameters, path_values
from afx_live.export.cli import main as export
from afx_live.export.plugin import make_plugin
from afx_live.presets.lv2_writer import uri, write_lv2
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.safety import LOOKAHEAD
from afx_live.realtime.cli.main import main as afx_live
from support.sounds import without_dc

pytestmark = pytest.mark.slow  # other programs play

TOLERANCE = 1e-6  # of full scale


def host(name):
    return pytest.mark.skipif(not shutil.which(name), reason=f"no {name}; Debian: lilv-utils, ffmpeg, ecasound, jalv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lv2")


@pytest.fixture(scope="module")
def lo_fi(folder):
    return make_plugin(presets.load("lo-fi"), folder / "lo-fi.lv2")


@pytest.fixture
def sound(tmp_path):
    """Play a file in a host's words, in which IN and OUT are files; returns (frames, channels) and its rate."""

    def play(words, x, rate=48000, path=None):
        soundfile.write(tmp_path / "in.wav", x, rate, subtype="FLOAT")
        out = tmp_path / "out.wav"
        out.unlink(missing_ok=True)
        words = [str({"IN": tmp_path / "in.wav", "OUT": out}.get(w, w)) for w in words]
        env = {**os.environ, "LV2_PATH": f"{path}:/usr/lib/lv2"}
        done = subprocess.run(words, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return soundfile.read(out, dtype="float32", always_2d=True)[0]

    return play


def noise(frames, channels=2):
    return np.random.default_rng(3).uniform(-0.3, 0.3, (frames, channels)).astype(np.float32)


def controls(settings):
    """Every control port's value, in the order of ports."""
    values = path_values(settings)
    return [(q.symbol if q.path != "bypass" else "enabled", values[q.path] if q.path != "bypass" else 1.0)
            for q in parameters()]  # fmt: skip


# --- the same samples in foreign hosts ------------------------------------------------------------

LV2APPLY = ["lv2apply", "-i", "IN", "-o", "OUT"]


@host("lv2apply")
@pytest.mark.parametrize("name", presets.names())
def test_lv2apply_plays_what_afx_live_renders(sound, tmp_path, name):
    clip = presets.clip("guitar" if "guitar" in name else "drums" if "drum" in name else "voice")
    x, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    x = np.repeat(x[: 6 * rate], 2, 1) * np.array([1.0, 0.7], np.float32)
    soundfile.write(tmp_path / "dry.wav", x, rate, subtype="FLOAT")
    words = [str(tmp_path / "dry.wav"), "--preset", name, "-o", str(tmp_path / "wet.wav"), "-q"]
    with pytest.raises(SystemExit) as end:
        afx_live(["render", *words, "--save-preset", str(tmp_path / "match.json")])
    assert end.value.code == 0
    export(["plugin", str(tmp_path / "match.json"), "-o", str(tmp_path / f"{name}.lv2")])
    played = sound([*LV2APPLY, uri(name)], x, rate, tmp_path)
    wet = soundfile.read(tmp_path / "wet.wav", dtype="float32", always_2d=True)[0]
    late = LOOKAHEAD + presets.load(tmp_path / "match.json").settings.latency
    assert len(played) == len(wet)
    assert np.abs(wet).max() > 0.05
    np.testing.assert_allclose(played[late:], wet[: len(wet) - late], rtol=0, atol=TOLERANCE)


@host("lv2apply")
@pytest.mark.parametrize("rate", [22050, 44100, 96000, 192000])
def test_at_any_rate_mono_and_stereo(sound, lo_fi, folder, rate):
    for channels in (1, 2):
        x = noise(rate // 2, channels)
        theirs = Engine(presets.load("lo-fi").settings, float(rate), channels).process(x)
        played = sound([*LV2APPLY, uri("lo-fi", channels)], x, rate, folder)
        np.testing.assert_allclose(played, theirs, rtol=0, atol=TOLERANCE)


@host("ffmpeg")
def test_ffmpeg_plays_it(sound, lo_fi, folder):
    filters = subprocess.run(["ffmpeg", "-hide_banner", "-filters"], capture_output=True, text=True).stdout
    if not re.search(r"\blv2\b", filters):
        pytest.skip("this ffmpeg is built without LV2")
    x = noise(48000)
    escaped = uri("lo-fi").replace(":", "\\\\:")
    words = ["ffmpeg", "-v", "error", "-i", "IN", "-af", f"lv2=p={escaped}", "-c:a", "pcm_f32le", "OUT"]
    theirs = Engine(presets.load("lo-fi").settings, 48000.0).process(x)
    np.testing.assert_allclose(sound(words, x, path=folder), theirs, rtol=0, atol=TOLERANCE)


@host("ecasound")
def test_ecasound_plays_it_with_values_of_ours(sound, lo_fi, folder):
    x, settings = noise(48000), presets.load("driven-guitar").settings
    values = ",".join(repr(value) for _, value in controls(settings))
    words = ["ecasound", "-q", "-f:f32_le,2,48000", "-i", "IN", "-o", "OUT", f"-elv2:{uri('lo-fi')},{values}"]
    np.testing.assert_allclose(sound(words, x, path=folder), Engine(settings, 48000.0).process(x), 0, TOLERANCE)


@host("lv2apply")
def test_values_come_as_a_preset_says_them_not_as_their_nearest_float(sound, lo_fi, folder):
    settings = presets.load("podcast").settings
    assert any(float(np.float32(v)) != v for e in settings.effects for v in e.values.values())
    words = [part for symbol, value in controls(settings) for part in ("-c", symbol, repr(value))]
    x = noise(48000)
    played = sound(["lv2apply", *words, "-i", "IN", "-o", "OUT", uri("lo-fi")], x, path=folder)
    if [e.effect for e in settings.effects] == [n for n in order() if n in {e.effect for e in settings.effects}]:
        assert np.array_equal(played, Engine(settings, 48000.0).process(x))


@host("lv2apply")
def test_enabled_is_the_opposite_of_bypass(sound, lo_fi, folder):
    x = 0.5 * noise(5000)
    played = sound(["lv2apply", "-c", "enabled", "0", "-i", "IN", "-o", "OUT", uri("lo-fi")], x, path=folder)
    settled = 63 + int(0.006 * 48000)
    np.testing.assert_allclose(played[settled:], without_dc(x)[settled - 63 : -63], rtol=0, atol=TOLERANCE)


@host("jalv")
@pytest.mark.jack
def test_jalv_loads_a_preset(lo_fi, folder, tmp_path, jack):
    """A host with a command line shows the values of a preset that was made for another order of effects."""
    env = {**os.environ, **jack.env, "LV2_PATH": f"{folder}:/usr/lib/lv2", "HOME": str(tmp_path)}
    preset = f"{uri('lo-fi')}:preset:podcast"
    jalv = subprocess.Popen(
        ["jalv", uri("lo-fi")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, bufsize=1
    )
    assert jalv.stdin
    for words in ("presets", f"preset {preset}", "controls", "quit"):
        jalv.stdin.write(f"{words}\n")
        jalv.stdin.flush()
        time.sleep(1.0)  # it hands them to its audio thread
    said = jalv.communicate(timeout=20)[0]
    values = path_values(presets.load("podcast").settings)
    found = dict(re.findall(r"^(?:> )*(\w+) = (-?[\d.]+)", said, re.M))
    for q in parameters():
        if q.path != "bypass":
            assert float(found[q.symbol]) == pytest.approx(values[q.path], abs=1e-5), q.path


# --- what the bundle says -------------------------------------------------------------------------


@host("lv2_validate")
def test_lv2s_validator_finds_nothing(lo_fi, tmp_path):
    write_lv2("My sound", presets.load("hall").settings, 0.5, tmp_path / "mine.lv2", "lo-fi")
    for files in ([*lo_fi.glob("*.ttl")], [*lo_fi.glob("p*.ttl"), *(tmp_path / "mine.lv2").glob("*.ttl")]):
        said = subprocess.run(["lv2_validate", *files], capture_output=True, text=True)
        assert "Found 0 errors" in said.stdout + said.stderr, said.stdout + said.stderr


@host("lv2info")
def test_hosts_see_names_units_ranges_latency_and_presets(lo_fi, folder):
    env = {**os.environ, "LV2_PATH": f"{folder}:/usr/lib/lv2"}
    said = subprocess.run(["lv2info", uri("lo-fi")], capture_output=True, text=True, env=env, check=True).stdout
    assert "Has latency:       yes" in said
    for name in presets.names():
        assert f"\t         {presets.load(name).name}\n" in said
    values = path_values(presets.load("lo-fi").settings)
    for q in parameters():
        if q.path == "bypass":
            continue
        port = re.search(rf"\tPort \d+:(?:(?!\tPort).)*?Symbol: +{q.symbol}\n.*?(?=\n\n|\Z)", said, re.S)
        assert port, q.symbol
        assert re.search(rf"Name: +{re.escape(q.label)}\n", port[0])
        for word, value in (("Minimum", q.param.low), ("Maximum", q.param.high), ("Default", values[q.path])):
            assert float(re.findall(rf"{word}: +(\S+)", port[0])[0]) == pytest.approx(value, rel=1e-5, abs=1e-6)


@host("lv2apply")
def test_a_preset_bundle_is_found_for_its_plug_in(lo_fi, folder, tmp_path):
    write_lv2("My sound", presets.load("hall").settings, 0.5, tmp_path / "mine.lv2", "lo-fi")
    env = {**os.environ, "LV2_PATH": f"{folder}:{tmp_path}:/usr/lib/lv2"}
    for channels in (1, 2):
        said = subprocess.run(["lv2info", uri("lo-fi", channels)], capture_output=True, text=True, env=env).stdout
        assert "\t         My sound\n" in said


def test_interfaces_that_we_declare_are_those_of_the_packaged_headers(tmp_path):
    if not Path("/usr/include/lv2/core/lv2.h").exists():
        pytest.skip("no LV2 headers; Debian: lv2-dev")
    pairs = {
        "struct lv2_descriptor": (
            "LV2_Descriptor",
            "uri URI,instantiate,connect_port,activate,run,deactivate,cleanup,extension_data",
        ),
        "struct lv2_feature": ("LV2_Feature", "uri URI,data"),
        "struct lv2_urid_map": ("LV2_URID_Map", "handle,map"),
        "struct lv2_state": ("LV2_State_Interface", "save,restore"),
    }
    checks = []
    for ours, (theirs, fields) in pairs.items():
        checks.append(f'_Static_assert(sizeof({ours}) == sizeof({theirs}), "");')
        for field in fields.split(","):
            a, b = (field.split() * 2)[:2]
            checks.append(f'_Static_assert(offsetof({ours}, {a}) == offsetof({theirs}, {b}), "");')
    names = re.findall(
        r"#define (\w+) (\".*\")", (Path(export.__code__.co_filename).parent / "plugin/lv2_abi.h").read_text()
    )
    theirs = {
        "LV2_URID_MAP": "LV2_URID__map",
        "LV2_ATOM_STRING": "LV2_ATOM__String",
        "LV2_STATE_INTERFACE": "LV2_STATE__interface",
    }
    checks += [f'_Static_assert(__builtin_strcmp({text}, {theirs[name]}) == 0, "");' for name, text in names]
    source = tmp_path / "check.c"
    heads = "".join(f"#include <lv2/{h}.h>\n" for h in ("core/lv2", "urid/urid", "atom/atom", "state/state"))
    ours = (Path(export.__code__.co_filename).parent / "plugin/lv2_abi.h").read_text()
    ours = re.sub(r"\benum \{ LV2_STATE.*?\};", "", ours, flags=re.S)
    source.write_text(heads + ours + "\n".join(checks) + "\n")
    subprocess.run(["cc", "-fsyntax-only", source], check=True)


# --- the command ----------------------------------------------------------------------------------


def refusal(capsys, *words):
    with pytest.raises(SystemExit) as end:
        export(["plugin", *map(str, words)])
    return end.value.code, capsys.readouterr().err


def test_errors_have_their_codes(capsys, tmp_path, lo_fi):
    assert refusal(capsys, "lo-fi", "-o", tmp_path / "x.vst3")[0] == 2
    assert refusal(capsys, "no-such-preset", "-o", tmp_path / "x.lv2")[0] == 5
    code, said = refusal(capsys, "lo-fi", "-o", lo_fi)
    assert code == 2
    assert "--force" in said
    code, said = refusal(capsys, "lo-fi", "-o", tmp_path / "none" / "x.clap")
    assert code == 5
    assert "no such folder" in said
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_the_missing_tool_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-cc")
    code, said = refusal(capsys, "lo-fi", "-o", tmp_path / "x.lv2")
    assert code == 5
    assert "no-such-cc" in said
    assert not list(tmp_path.iterdir())


def test_force_replaces_a_bundle_whole(tmp_path):
    (out := tmp_path / "x.lv2").mkdir()
    all((out / name).write_text("old") for name in ("manifest.ttl", "old.ttl"))
    export(["plugin", "-o", str(out), "--force"])
    assert {f.name for f in out.iterdir()} == {"manifest.ttl", "plugin.ttl", "presets.ttl", "x.so"}


@host("lv2apply")
def test_without_a_preset_it_does_nothing_until_it_is_told_to(sound, tmp_path):
    export(["plugin", "-o", str(tmp_path / "afx-live.lv2")])
    x = 0.5 * noise(5000)
    played = sound([*LV2APPLY, uri("afx-live")], x, path=tmp_path)
    assert np.array_equal(played, Engine(ChainSettings(), 48000.0).process(x))
    np.testing.assert_allclose(played[63:], without_dc(x)[:-63], rtol=0, atol=TOLERANCE)


# --- state, by hand -------------------------------------------------------------------------------


class ByHand:
    """An instance of the plug-in without a host: what hosts do with its state, and blocks of no frames."""

    def __init__(self, library, rate=48000.0):
        import ctypes as c

        self.c, self.shared = c, c.CDLL(str(library))
        pointer, number = c.c_void_p, c.c_uint32

        class Descriptor(c.Structure):
            _fields_ = (
                ("uri", c.c_char_p),
                ("instantiate", c.CFUNCTYPE(pointer, pointer, c.c_double, c.c_char_p, pointer)),
                ("connect_port", c.CFUNCTYPE(None, pointer, number, pointer)),
                ("activate", c.CFUNCTYPE(None, pointer)),
                ("run", c.CFUNCTYPE(None, pointer, number)),
                ("deactivate", pointer),
                ("cleanup", c.CFUNCTYPE(None, pointer)),
                ("extension_data", c.CFUNCTYPE(pointer, c.c_char_p)),
            )

        self.uris = []
        mapped = c.CFUNCTYPE(number, pointer, c.c_char_p)(self._map)
        self.map = (pointer * 2)(None, c.cast(mapped, pointer))
        self.feature = (pointer * 2)(c.cast(c.c_char_p(b"http://lv2plug.in/ns/ext/urid#map"), pointer), c.addressof(self.map))  # fmt: skip  # noqa: E501
        self.features = (pointer * 2)(c.addressof(self.feature), None)
        self.keep = mapped
        self.shared.lv2_descriptor.restype = c.POINTER(Descriptor)
        assert not self.shared.lv2_descriptor(2)
        own = self.shared.lv2_descriptor(0)
        self.d = own.contents
        self.own = self.d.instantiate(c.cast(own, pointer), rate, b"", c.cast(self.features, pointer))
        self.controls = np.array([value for _, value in controls(presets.load("lo-fi").settings)], np.float32)
        for i in range(len(self.controls)):
            self.d.connect_port(self.own, 4 + i, self.controls.ctypes.data + 4 * i)

    def _map(self, _, text):
        if text not in self.uris:
            self.uris.append(text)
        return 1 + self.uris.index(text)

    def state(self):
        c, pointer = self.c, self.c.c_void_p
        self.store = c.CFUNCTYPE(c.c_int, pointer, c.c_uint32, c.c_char_p, c.c_size_t, c.c_uint32, c.c_uint32)
        self.retrieve = c.CFUNCTYPE(
            pointer, pointer, c.c_uint32, c.POINTER(c.c_size_t), c.POINTER(c.c_uint32), c.POINTER(c.c_uint32)
        )

        class State(c.Structure):
            _fields_ = (
                ("save", c.CFUNCTYPE(c.c_int, pointer, self.store, pointer, c.c_uint32, pointer)),
                ("restore", c.CFUNCTYPE(c.c_int, pointer, self.retrieve, pointer, c.c_uint32, pointer)),
            )

        return State.from_address(self.d.extension_data(b"http://lv2plug.in/ns/ext/state#interface"))

    def save(self):
        kept = {}

        def store(_, key, value, size, kind, flags):
            kept[self.uris[key - 1].decode()] = (value.decode(), size, self.uris[kind - 1].decode())
            return 0

        assert self.state().save(self.own, self.store(store), None, 0, None) == 0
        return kept

    def restore(self, text):
        room = self.c.create_string_buffer(text.encode())

        def retrieve(_, key, size, kind, flags):
            size[0], kind[0], flags[0] = len(room), self._map(None, b"http://lv2plug.in/ns/ext/atom#String"), 0
            return self.c.addressof(room) if self.uris[key - 1] == b"urn:afx-live:order" else None

        state = self.state()
        return state.restore(self.own, self.retrieve(retrieve), None, 0, None)

    def play(self, x):
        x, y = np.ascontiguousarray(x.T), np.empty_like(x.T, order="C")
        for i in range(2):
            self.d.connect_port(self.own, i, x[i].ctypes.data)
            self.d.connect_port(self.own, 2 + i, y[i].ctypes.data)
        self.d.run(self.own, x.shape[1])
        return y.T.copy()


def test_the_order_is_saved_and_restored(lo_fi):
    x, plugin = noise(5000), ByHand(lo_fi / "lo-fi.so")
    other = ("reverb", "distortion", "compressor", "equaliser")
    text = " ".join((*other, *(name for name in order() if name not in other)))
    assert plugin.save() == {"urn:afx-live:order": (" ".join(order()), len(" ".join(order())) + 1, "http://lv2plug.in/ns/ext/atom#String")}  # fmt: skip  # noqa: E501
    assert plugin.restore(text) == 0
    assert plugin.save()["urn:afx-live:order"][0] == text
    settings = presets.load("lo-fi").settings
    moved = ChainSettings(tuple(settings.effect(name) for name in other), 0.0, settings.output_gain_db)
    plugin.d.activate(plugin.own)
    np.testing.assert_allclose(plugin.play(x), Engine(moved, 48000.0).process(x), rtol=0, atol=TOLERANCE)
    assert plugin.restore("reverb reverb") != 0
    assert plugin.restore("an effect of tomorrow, reverb") == 0
    plugin.d.cleanup(plugin.own)


def test_a_run_of_no_frames_tells_the_latency(lo_fi):
    plugin, latency = ByHand(lo_fi / "lo-fi.so"), np.zeros(1, np.float32)
    plugin.d.connect_port(plugin.own, 4 + len(plugin.controls), latency.ctypes.data)
    plugin.d.run(plugin.own, 0)
    assert latency[0] == LOOKAHEAD + presets.load("lo-fi").settings.latency
    plugin.controls[[q.path for q in parameters()].index("distortion/on")] = 0.0
    plugin.d.run(plugin.own, 0)
    assert latency[0] == LOOKAHEAD
    plugin.d.cleanup(plugin.own)
