"""Generators of references: reproducible pairs, and DeepAFx-ST's numbers where they are DeepAFx-ST's."""

import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from afx_live.chain import CANONICAL, ChainSettings, EffectSettings, play_clip
from afx_live.dsp.loudness import integrated_loudness
from afx_live.presets import clip
from afx_live.study.metrics.audio import matched_stft_error
from afx_live.study.pairs import deepafx_compressor, deepafx_pairs, deepafx_styles, ours, sources
from afx_live.study.pairs.condition import Condition
from afx_live.study.pairs.generators import GENERATORS, draw_pair
from afx_live.training.recordings import NoRecordings, Recording, find
from support.jack import need

pytestmark = pytest.mark.slow  # pairs are drawn and played

ROOT = Path(__file__).resolve().parents[2]
PAPER = Condition("deepafx", "equaliser+compressor", sample_rate=24000)
FREQUENCIES_HZ = np.array([20.0, 1500.0, 11900.0])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two speakers and two instruments of 14 s, and a mix that is too short for the paper's clip."""
    home = tmp_path_factory.mktemp("recordings")
    for folder, name, speed, seconds in (
        ("speech", "voice", 44100, 14),
        ("speech", "voice", 50000, 14),
        ("stems", "guitar", 44100, 14),
        ("stems", "guitar", 48000, 14),
        ("music", "guitar_reference", 44100, 8),
    ):
        x, _ = soundfile.read(clip(name), always_2d=True)
        (home / folder).mkdir(exist_ok=True)
        soundfile.write(home / folder / f"{name}_{speed}.flac", np.resize(x[:, 0], seconds * speed), speed)
    return find(home)


def same(one, two):
    return all(
        np.array_equal(a, b)
        for a, b in zip((one.input, one.reference, one.answer), (two.input, two.reference, two.answer), strict=True)
    )


def known(pair):
    """The settings that made a pair's answer."""
    assert pair.settings is not None
    return pair.settings


def condition_of(generator):
    sets = {"ours": "all", "deepafx": PAPER.effect_set, "deepafx_corrected": PAPER.effect_set}
    return Condition(generator, sets.get(generator, "neutral>warm"), "other", "speech", 24000)


EACH = pytest.mark.parametrize(
    "generator", ["ours", "deepafx", "deepafx_corrected", "deepafx_styles", "deepafx_styles_corrected"]
)


@EACH
def test_a_pair_is_a_function_of_condition_index_and_seed(recordings, generator):
    if generator in ("deepafx", "deepafx_corrected"):
        need("sox", "sox")
    condition = condition_of(generator)
    first = draw_pair(condition, recordings, 3, 7)
    assert same(first, draw_pair(condition, recordings, 3, 7))
    assert first.about == draw_pair(condition, recordings, 3, 7).about
    assert not np.array_equal(first.answer, draw_pair(condition, recordings, 4, 7).answer)
    assert not np.array_equal(first.answer, draw_pair(condition, recordings, 3, 8).answer)
    assert (len(first.input), first.sample_rate) == (len(first.answer), 24000)
    assert max(np.abs(x).max() for x in (first.input, first.reference, first.answer)) <= 1.0 + 1e-9


def test_another_process_draws_the_same_pair(recordings):
    home = recordings[0].path.parent.parent
    code = (
        "import sys, hashlib; from afx_live.study.pairs.generators import draw_pair;"
        "from afx_live.study.pairs.condition import Condition;"
        "from afx_live.training.recordings import find;"
        "p = draw_pair(Condition(effect_set='compressor', mode='other'), find(sys.argv[1]), 5, 1);"
        "print(hashlib.sha256(p.answer.tobytes() + p.reference.tobytes()).hexdigest(), p.about)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True).stdout
    pair = draw_pair(Condition(effect_set="compressor", mode="other"), recordings, 5, 1)
    digest = hashlib.sha256(pair.answer.tobytes() + pair.reference.tobytes()).hexdigest()
    assert said.strip() == f"{digest} {pair.about}"


# --- own effects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ours.EFFECT_SETS)
def test_an_effect_set_enables_its_effects_and_its_settings_give_the_answer(recordings, row):
    pair = draw_pair(Condition(effect_set=row), recordings, 1, 7)
    on = {step.effect for step in known(pair).effects if step.enabled}
    assert on == {"none": set(), "all": set(CANONICAL)}.get(row, set(row.split("+")))
    again = play_clip(known(pair), pair.input, 48000)
    assert np.abs(again - pair.answer).max() < 1e-6
    assert (matched_stft_error(pair.input, pair.answer, 48000) < 1e-6) == (row == "none")


def test_levels_are_those_of_the_text(recordings):
    for index in range(4):
        pair = draw_pair(Condition(effect_set="all"), recordings, index, 7)
        loud = [integrated_loudness(x, 48000) for x in (pair.input, pair.reference, pair.answer)]
        assert loud[0] == pytest.approx(-23.0, abs=0.01)
        assert loud[1] == pytest.approx(loud[2], abs=0.01)
        assert loud[1] <= -14.0
        assert max(np.abs(x).max() for x in (pair.reference, pair.answer)) <= sources.PEAK + 1e-9


def test_only_what_a_condition_varies_differs(recordings):
    base = draw_pair(Condition(effect_set="compressor"), recordings, 2, 7)
    whole = draw_pair(Condition(effect_set="all"), recordings, 2, 7)
    other = draw_pair(Condition(effect_set="compressor", mode="other"), recordings, 2, 7)
    slow = draw_pair(Condition(effect_set="compressor", sample_rate=24000), recordings, 2, 7)
    assert np.array_equal(base.input, whole.input)
    assert known(base).effect("compressor") == known(whole).effect("compressor")
    assert np.array_equal(base.input, other.input)
    assert not np.array_equal(base.reference, other.reference)
    assert known(base).effects == known(slow).effects
    assert len(slow.input) == len(base.input) // 2
    low = [np.abs(np.fft.rfft(x))[:4000] for x in (base.input / 2, slow.input)]  # under 800 Hz, the same stretch
    assert np.corrcoef(low)[0, 1] > 0.999


def test_intensity_moves_settings_and_zero_is_the_identity(recordings):
    drawn = ChainSettings(
        (
            EffectSettings("compressor", {"ratio": 10.0, "threshold_db": -30.0}),
            EffectSettings("distortion", {"drive_db": 20.0}),
        )
    )
    half, double = ours.scaled(drawn, 0.5), ours.scaled(drawn, 2.0)
    assert half.effect("compressor").values["ratio"] == pytest.approx(1 / (1 - 0.45))
    assert half.effect("compressor").values["threshold_db"] == -30.0
    assert half.effect("distortion").values["mix"] == 0.5
    assert double.effect("compressor").values["ratio"] == pytest.approx(
        20.0
    )  # not 1, where twice the slope would come back
    assert double.effect("compressor").values["threshold_db"] == -60.0
    assert double.effect("distortion").values["drive_db"] == 36.0
    assert ours.scaled(drawn, 1.0) == drawn
    for generator in ("ours", "deepafx_styles_corrected"):
        pair = draw_pair(replace(condition_of(generator), intensity=0.0), recordings, 1, 7)
        assert matched_stft_error(pair.input, pair.answer, 24000) < 1e-6


# --- kinds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("LibriTTS/test-clean/61/70968/x.wav", "speech", "speech"),
        ("musdb/test/song/mixture.wav", "mixture", "mix"),
        ("music/musdb/test/song/vocals.wav", "vocals", "instrument"),
        ("musdb/test/song/other.wav", "other", "instrument"),
        ("loops/x.wav", "loops", "instrument"),
        ("my/speech/x.wav", "recording", "speech"),
        ("my/x.wav", "recording", "any"),
    ],
)
def test_kinds_follow_the_layouts(path, kind, expected):
    assert sources.kind_of(Recording(Path("/r") / path, 0.0, 5.0, 48000, 1, "g", kind)) == expected


def test_a_manifest_counts_most(tmp_path):
    (tmp_path / "MANIFEST.csv").write_text("path,kind\na/speech/x.wav,piano_performance\n")
    recording = Recording(tmp_path / "a/speech/x.wav", 0.0, 5.0, 48000, 1, "g", "speech")
    assert sources.kind_of(recording) == "instrument"


def test_recordings_are_of_the_kind_asked_for_and_others_of_another_group(recordings):
    for kind in ("speech", "instrument"):
        fitting = sources.pool(Condition(kind=kind), recordings)
        assert {sources.kind_of(r) for r in fitting} == {kind}
        assert all(r.group != fitting[0].group for r in sources.others(fitting[0], fitting))
    assert draw_pair(Condition(kind="mix"), recordings, 0, 7).recording.startswith("music")
    with pytest.raises(NoRecordings, match="only recording"):
        draw_pair(Condition(kind="mix", mode="other"), recordings, 0, 7)
    with pytest.raises(NoRecordings, match="speech"):
        draw_pair(Condition(kind="speech"), [r for r in recordings if sources.kind_of(r) == "mix"], 0, 7)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"generator": "nobody"}, "generator"),
        ({"effect_set": "phaser"}, "effect_set"),
        ({"mode": "both"}, "mode"),
        ({"kind": "noise"}, "kind"),
        ({"intensity": -1.0}, "intensity"),
        ({"sample_rate": 100}, "sample_rate"),
    ],
)
def test_a_wrong_condition_is_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        draw_pair(replace(Condition(), **wrong), [], 0, 7)


# --- the paper's generator --------------------------------------------------------------------------


def test_the_papers_pairs_have_its_length_level_and_fades(recordings):
    need("sox", "sox")
    for corrected, fade in ((False, 1102), (True, 1200)):
        condition = replace(PAPER, generator="deepafx_corrected" if corrected else "deepafx")
        starts = set()
        for index in range(6):
            pair = draw_pair(condition, recordings, index, 7)
            assert {len(x) for x in (pair.input, pair.reference, pair.answer)} == {131072}
            # One side's two halves: the louder one peaks at -12 dBFS, both stay under it.
            peaks = [np.abs(x).max() for x in (pair.answer, pair.reference)]
            assert max(peaks) == pytest.approx(10 ** (-12 / 20), rel=1e-6)
            starts.add(pair.answer[0] == 0.0)
        assert starts == {False, True}  # either half may be asked about
        faded = deepafx_pairs.finished(np.ones(20000), 20000, fade)
        assert np.flatnonzero(faded >= faded.max() - 1e-12)[0] == fade - 1


def test_the_papers_target_meets_its_compressor_unlevelled_as_published():
    need("sox", "sox")
    x = np.sin(2 * np.pi * 1000 * np.arange(24000) / 24000) * deepafx_pairs.PEAK
    look = deepafx_pairs.SideEffects(
        ("equalizer", "1000", "1q", "24"), ("compand", "0.01,0.1", "-100,-20,-20,0,-10", "0", "-100")
    )
    published, corrected = (
        np.abs(deepafx_pairs.shaped(x, 24000, look, levelled)[12000:]).max() for levelled in (False, True)
    )
    assert 20 * math.log10(published) == pytest.approx(-10.0, abs=1.0)  # 12 dB over full scale, clipped, then 2:1
    assert 20 * math.log10(corrected) == pytest.approx(-16.0, abs=1.0)  # -12 dBFS, 2:1 above -20


def test_what_the_paper_draws_stays_in_its_ranges():
    rng = np.random.default_rng(0)
    looks = [deepafx_pairs.draw_side(rng, 24000, target=True) for _ in range(2000)]
    assert np.mean([bool(one.equaliser) for one in looks]) == pytest.approx(0.75, abs=0.04)
    assert np.mean([bool(one.dynamics) for one in looks]) == pytest.approx(0.75, abs=0.04)
    corruptions = [deepafx_pairs.draw_side(rng, 24000, target=False) for _ in range(2000)]
    assert np.mean([bool(one.dynamics) for one in corruptions]) == pytest.approx(0.10, abs=0.03)
    gains, curves = [], []
    for look in looks:
        words = list(look.equaliser)
        while words:
            name, *rest = (words.pop(0) for _ in range(4 if words[0] == "equalizer" else 3))
            gain, hz = (rest[2], rest[0]) if name == "equalizer" else rest
            assert {"equalizer": 200, "bass": 20, "treble": 4000}[name] <= int(hz) < 10800
            gains.append((name, abs(float(gain))))
        if look.dynamics:
            _, times, curve, makeup, start, delay = look.dynamics
            attack, release = map(float, times.split(","))
            assert 0.0005 <= attack <= 0.0505
            assert attack <= release <= attack + 0.2
            assert (float(delay), start) == (attack, "-100")
            threshold, top = float(curve.split(",")[1]), float(curve.split(",")[-1])
            curves.append((threshold, 1 / (1 - top / threshold), float(makeup)))
    assert max(g for name, g in gains if name == "equalizer") < 48
    assert max(g for name, g in gains if name == "equalizer") > 24  # one after another of the other sign
    assert 20 < max(g for name, g in gains if name != "equalizer") <= 24
    low, high = np.min(curves, 0), np.max(curves, 0)
    assert np.allclose(low, [-64, 1, 0], atol=[0.5, 0.1, 0.1])
    assert np.allclose(high, [-12, 11, 6], atol=[0.5, 0.1, 0.1])


def test_without_sox_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(deepafx_pairs.NoSox, match="apt-get install sox"):
        deepafx_pairs.shaped(np.ones(9), 24000, deepafx_pairs.SideEffects(("bass", "3", "100"), ()), True)


# --- the styles -------------------------------------------------------------------------------------


def curve_db(values, rate=24000):
    """Gain of a style's equaliser at FREQUENCIES_HZ."""
    response = np.abs(np.fft.rfft(deepafx_styles.equalised(np.eye(1, 1 << 15)[0], rate, values)))
    bins = np.round(FREQUENCIES_HZ / rate * (1 << 15)).astype(int)
    return 20 * np.log10(response[bins])


@pytest.mark.parametrize(
    ("style", "low", "high"),
    [
        ("neutral", (1, 0, 1), (3, 0, 3)),
        ("broadcast", (2, 0, 2), (6, 0, 6)),
        ("telephone", (-26, 8, -26), (-20, 16, -20)),
        ("bright", (-26, -1, 20), (-20, 0, 26)),
        ("warm", (20, 0, 14), (26, 1, 20)),
    ],
)
def test_styles_sound_as_published(style, low, high):
    for index in range(20):
        curve = curve_db(deepafx_styles.draw_style(style, np.random.default_rng(index), corrected=False))
        assert (curve > np.array(low) - 0.1).all(), curve
        assert (curve < np.array(high) + 0.1).all(), curve


def test_warm_turns_the_treble_up_as_published_and_down_as_meant():
    for index in range(10):
        published, meant = (
            deepafx_styles.draw_style("warm", np.random.default_rng(index), corrected) for corrected in (False, True)
        )
        assert 14 <= published["high_db"] <= 20
        assert -26 <= meant["high_db"] <= -20
        assert published["low_db"] == meant["low_db"]
        assert curve_db(published)[2] == pytest.approx(published["high_db"], abs=0.1)
        assert curve_db(meant)[2] == pytest.approx(meant["high_db"], abs=0.2)


def test_the_published_knee_is_wrong_and_the_corrected_one_is_a_knee():
    level = np.linspace(-40.0, 0.0, 4001)
    published, meant = (deepafx_compressor.gain_reduction_db(level, -20.0, 20.0, 12.0, c) for c in (False, True))
    assert np.abs(np.diff(meant)).max() < 0.02
    assert np.abs(np.diff(published)).max() == pytest.approx(5.87, abs=0.05)  # style_transfer.md, defect 1
    at = deepafx_compressor.gain_reduction_db(np.array([-20.0]), -20.0, 4.0, 6.0, False)
    assert -at[0] == pytest.approx(0.19, abs=0.01)
    at = deepafx_compressor.gain_reduction_db(np.array([-20.0]), -20.0, 4.0, 6.0, True)
    assert -at[0] == pytest.approx(-0.56, abs=0.01)


def test_the_papers_compressor_reduces_by_its_ratio_within_its_time():
    x = np.concatenate([np.full(24000, 0.001), np.full(24000, 1.0), np.full(24000, 0.001)])
    gain_db = 20 * np.log10(deepafx_styles.compressed(x, 24000, -30.0, 3.0, 0.02, 0.1) / x)
    assert gain_db[23999] == pytest.approx(0.0, abs=1e-6)
    assert gain_db[47999] == pytest.approx(-20.0, abs=0.01)
    tenth, most = (24000 + np.argmax(gain_db[24000:] < -share * 20) for share in (0.1, 0.9))
    assert (most - tenth) / 24000 == pytest.approx(0.02, rel=0.02)  # from 10 to 90 %
    tenth, most = (48000 + np.argmax(gain_db[48000:] > -share * 20) for share in (0.9, 0.1))
    assert (most - tenth) / 24000 == pytest.approx(0.1, rel=0.02)


def test_style_pairs_have_their_length_level_and_effects(recordings):
    clean = draw_pair(Condition("deepafx_styles", "warm", kind="speech", sample_rate=24000), recordings, 0, 7)
    styled = draw_pair(
        Condition("deepafx_styles", "telephone>warm", kind="speech", sample_rate=24000), recordings, 0, 7
    )
    assert {len(x) for x in (clean.input, clean.reference, clean.answer)} == {131072}
    assert all(np.abs(x).max() == pytest.approx(1.0) for x in (clean.input, clean.reference, clean.answer))
    assert np.array_equal(clean.answer, styled.answer)
    assert not np.array_equal(clean.input, styled.input)
    assert clean.settings is None
    for row, effect in (("driven", "distortion"), ("spacious", "reverb")):
        pair = draw_pair(Condition("deepafx_styles", row, kind="speech", sample_rate=24000), recordings, 0, 7)
        assert [step.effect for step in known(pair).effects] == [effect]
        played = play_clip(known(pair), pair.input, 24000)
        # All but what the lead-in left in it.
        assert matched_stft_error(played, pair.answer, 24000) < 0.35 * matched_stft_error(
            pair.input, pair.answer, 24000
        )
    assert len(GENERATORS["deepafx_styles"].effect_sets) == 7 + 49


# --- other people's effects -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign():
    """Give bench/foreign.py as a module; what it registers is taken back."""
    from afx_live.study.systems import registry

    before = dict(GENERATORS), dict(registry.SYSTEMS), set(registry.WITHOUT_CHAIN)
    sys.path.insert(0, str(ROOT / "bench"))
    yield import_module("foreign")
    sys.path.remove(str(ROOT / "bench"))
    for known, then in zip((GENERATORS, registry.SYSTEMS, registry.WITHOUT_CHAIN), before, strict=True):
        known.clear()
        known.update(then)  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.parametrize("row", ["equaliser", "compressor", "distortion", "reverb"])
def test_soxs_effects_change_the_sound_and_do_not_delay_it(recordings, foreign, row):
    need("sox", "sox")
    condition = Condition("sox", row, kind="speech")
    pair = draw_pair(condition, recordings, 0, 7)
    assert same(pair, draw_pair(condition, recordings, 0, 7))
    assert matched_stft_error(pair.input, pair.answer, 48000) > 0.1
    likeness = np.abs(scipy.signal.correlate(pair.answer, pair.input, method="fft"))
    assert abs(likeness.argmax() - (len(pair.input) - 1)) <= 24  # half a millisecond: an equaliser's own phase
    nothing = draw_pair(replace(condition, intensity=0.0), recordings, 0, 7)
    assert matched_stft_error(nothing.input, nothing.answer, 48000) < 1e-6


def test_every_library_has_every_effect_set(foreign):
    for name in ("pedalboard", "sox", "ffmpeg", "ladspa"):
        assert GENERATORS[name].effect_sets == ours.EFFECT_SETS
    assert set(foreign.LIBRARIES["sox"].draw) == set(CANONICAL)
