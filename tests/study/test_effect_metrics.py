"""Metrics of single effects, and the paper's, against closed-form cases and against the packages that define them."""

import sys
import types

import auraloss
import numpy as np
import pytest
import torch
import torchaudio

from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.study.metrics import deepafx, spectrum
from afx_live.study.metrics import per_effect as e
from afx_live.study.metrics.score import METRICS, score
from afx_live.study.pairs.condition import Pair, Result

pytestmark = pytest.mark.slow  # sounds are measured

RATE = 48000
COMPRESSOR = EffectSettings("compressor", {"threshold_db": -40.0, "ratio": 4.0, "attack_ms": 2.0, "release_ms": 50.0})


def noise(seconds=4.0, seed=0):
    """Pink-like noise in bursts of changing level, as far as 25 dB apart."""
    rng = np.random.default_rng(seed)
    x = 0.1 * rng.standard_normal(round(seconds * RATE))
    levels = 10 ** (rng.uniform(-25.0, 0.0, round(seconds * 4)) / 20)
    return x * np.interp(np.arange(len(x)), np.arange(len(levels)) * RATE / 4, levels)


def filtered(x, hz, db):
    fir = spectrum.minimum_phase_fir(np.array(hz, float), np.array(db, float), RATE)
    return spectrum.filtered(x, fir)


def played(x, *steps, **gains):
    return ChainPlayer(ChainSettings(steps, **gains), RATE, 1).play(x[:, None])[:, 0]


# --- tone -----------------------------------------------------------------------------------------


def test_transfer_curve_of_a_known_filter():
    x = noise()
    hz, db, weights = e.transfer_curve(filtered(x, [100, 1000, 8000], [6, -9, 3]), x, RATE)
    wanted = np.interp(np.log(hz), np.log([100, 1000, 8000]), [6, -9, 3])
    middle = (hz > 80) & (hz < 12000)
    np.testing.assert_allclose(db[middle], wanted[middle], atol=0.5)
    assert weights.mean() == pytest.approx(1.0)


def test_eq_curve_error_counts_the_curve_and_not_the_level():
    x = noise()
    step = filtered(x, [990, 1010], [4, -4])
    assert e.eq_curve_error_db(step, x, x, RATE) == pytest.approx(4.0, abs=0.5)  # 18 thirds about each side
    assert e.eq_curve_error_db(0.2 * step, step, x, RATE) == pytest.approx(0.0, abs=1e-6)


def test_bands_without_sound_do_not_count():
    x = filtered(noise(), [2000, 4000], [0, -90])
    rustle = x + 1e-6 * np.random.default_rng(1).standard_normal(len(x))
    _, _, weights = e.transfer_curve(rustle, x, RATE)
    assert weights[-1] == 0
    assert e.eq_curve_error_db(rustle, x, x, RATE) < 0.1


# --- dynamics -------------------------------------------------------------------------------------


def test_gain_reduction_of_one_compressor_correlates_with_itself_at_any_level_and_tone():
    x = noise()
    truth = played(x, COMPRESSOR)
    assert e.gain_reduction_correlation(0.3 * truth, truth, x, RATE) == pytest.approx(1.0, abs=1e-9)
    toned = played(filtered(x, [200, 5000], [3, -3]), COMPRESSOR)
    assert (e.gain_reduction_correlation(toned, truth, x, RATE) or 0.0) > 0.97
    assert e.gain_reduction_correlation(x, truth, x, RATE) == 0.0
    expanded = x * x / truth.clip(1e-9) * (truth > 0) + (truth <= 0) * x  # more where it gave less
    assert (e.gain_reduction_correlation(expanded, truth, x, RATE) or 0.0) < -0.3


def test_gain_reduction_is_the_static_curve():
    t = np.arange(4 * RATE) / RATE
    x = np.sin(2 * np.pi * 1000 * t) * np.repeat([0.5, 0.05, 0.25, 0.01], RATE)
    db, _ = e.gain_reduction(played(x, COMPRESSOR), x, RATE)
    settled = [db[round((k + 0.8) * 50)] for k in range(4)]
    over = [max(0.0, 20 * np.log10(peak) + 40) for peak in (0.5, 0.05, 0.25, 0.01)]
    wanted = [(1 / 4 - 1) * o for o in over]
    moved = np.subtract(settled, settled[0]) - np.subtract(wanted, wanted[0])
    assert np.abs(moved[:3]).max() < 1.5  # the detector follows the waveform: less than the peak's reduction, evenly


def test_without_compression_there_is_no_correlation():
    x = noise()
    assert e.gain_reduction_correlation(x, filtered(x, [300, 3000], [6, -6]), x, RATE) is None


# --- distortion -----------------------------------------------------------------------------------


def test_harmonics_of_a_tanh_in_closed_form():
    theta = 2 * np.pi * np.arange(4096) / 4096
    series = np.fft.rfft(np.tanh(3 * np.sin(theta)))
    wanted = 10 * np.log10(np.sum(np.abs(series[2:11]) ** 2) / np.abs(series[1]) ** 2)
    t = np.arange(RATE // 2) / RATE
    assert e.harmonic_share_db(np.tanh(3 * np.sin(2 * np.pi * 500 * t)), RATE) == pytest.approx(wanted, abs=0.01)
    drive = EffectSettings("distortion", {"drive_db": 20.0, "tone_hz": 18000.0, "mix": 1.0})
    level_db = 20 * np.log10(3 / 10)  # driven by 20 dB, its peak is 3
    assert e.thd_db(ChainSettings((drive,)), RATE, level_db) == pytest.approx(wanted, abs=0.3)


def test_thd_error_of_settings():
    mild, hard = (ChainSettings((EffectSettings("distortion", {"drive_db": db}),)) for db in (6.0, 24.0))
    assert e.thd_error_db(hard, hard, RATE) == 0.0
    assert (e.thd_error_db(mild, hard, RATE) or 0.0) > 10.0
    clean = ChainSettings(
        (
            EffectSettings("equaliser", {"peak_1_db": 6.0}),
            EffectSettings("distortion", {"drive_db": 30.0}, enabled=False),
        )
    )
    assert e.thd_error_db(clean, clean, RATE) is None
    assert e.thd_error_db(clean, hard, RATE) == pytest.approx(e.thd_error_db(hard, clean, RATE))


def test_nonlinear_share_of_added_noise():
    x = np.random.default_rng(0).standard_normal(5 * RATE)
    other = np.random.default_rng(1).standard_normal(5 * RATE)
    linear = filtered(x, [100, 1000, 8000], [6, -9, 3])
    assert e.nonlinear_share_db(linear, x, RATE) < -28.0  # a filter longer than a frame leaves a trace
    share = e.nonlinear_share_db(x + 10 ** (-10 / 20) * other, x, RATE)
    assert share == pytest.approx(10 * np.log10(0.1 / 1.1), abs=0.5)


# --- decay ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5])
def test_rt60_of_decaying_noise(seconds):
    t = np.arange(round(1.5 * seconds * RATE)) / RATE
    response = np.random.default_rng(0).standard_normal(len(t)) * 10 ** (-3 * t / seconds)
    response[0] = 5.0
    assert e.rt60(response, RATE) == pytest.approx(seconds, rel=0.05)
    hum = response + 1e-3 * np.random.default_rng(1).standard_normal(len(t))
    assert e.rt60(hum, RATE) == pytest.approx(seconds, rel=0.05)


def test_without_late_sound_there_is_no_decay():
    assert e.rt60(np.eye(1, RATE)[0], RATE) == 0.0
    assert e.rt60(np.zeros(RATE), RATE) == 0.0
    assert e.rt60_share(0.7, 0.0) is None
    assert e.rt60_share(0.0, 1.0) == 1.0
    assert e.rt60_share(1.5, 1.0) == pytest.approx(0.5)


def test_rt60_of_a_chain():
    bright = EffectSettings("reverb", {"rt60_s": 1.2, "hf_ratio": 0.9, "mix": 0.3})
    assert e.chain_rt60(ChainSettings((COMPRESSOR, bright)), RATE) == pytest.approx(1.2, rel=0.1)
    assert e.chain_rt60(ChainSettings((COMPRESSOR,)), RATE) == 0.0


@pytest.mark.parametrize("seconds", [0.5, 1.5])
def test_blind_rt60(seconds):
    x = noise(6.0) * (np.arange(6 * RATE) % RATE < RATE // 3)  # bursts with room to decay
    t = np.arange(2 * RATE) / RATE
    room = 0.02 * np.random.default_rng(2).standard_normal(len(t)) * 10 ** (-3 * t / seconds)
    room[0] = 1.0
    size = 1 << (len(x) + len(room)).bit_length()
    y = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(room, size), size)[: len(x)]
    assert e.blind_rt60(y, x, RATE) == pytest.approx(seconds, rel=0.2)
    assert e.blind_rt60(filtered(x, [100, 8000], [6, -6]), x, RATE) == 0.0


# --- settings -------------------------------------------------------------------------------------


def test_response_errors_do_not_depend_on_where_the_level_is_made():
    x = noise()
    theirs = ChainSettings((EffectSettings("equaliser"), COMPRESSOR, EffectSettings("reverb", enabled=False)))
    lower = EffectSettings("compressor", {**COMPRESSOR.values, "threshold_db": -50.0})
    ours = ChainSettings((EffectSettings("equaliser"), lower), input_gain_db=-10.0)
    found = e.response_errors(ours, theirs, x, RATE)
    assert found == {"equaliser": pytest.approx(0, abs=1e-6), "compressor": pytest.approx(0, abs=1e-6)}
    assert e.response_errors(ChainSettings((lower,)), theirs, x, RATE)["compressor"] > 0.5
    off = e.response_errors(ChainSettings(), theirs, x, RATE)
    assert off["compressor"] > 1.0
    assert off["equaliser"] == pytest.approx(0, abs=1e-6)


# --- the paper's ----------------------------------------------------------------------------------


@pytest.fixture
def librosa(monkeypatch):
    """Stand in for librosa, which auraloss asks for its bands: torchaudio's with librosa's defaults."""

    def mel(sr, n_fft, n_mels):
        bands = torchaudio.functional.melscale_fbanks(n_fft // 2 + 1, 0.0, sr / 2, n_mels, sr, "slaney", "slaney")
        return bands.T.numpy()

    filters = types.ModuleType("librosa.filters")
    filters.__dict__["mel"] = mel
    package = types.ModuleType("librosa")
    package.__dict__["filters"] = filters
    monkeypatch.setitem(sys.modules, "librosa", package)
    monkeypatch.setitem(sys.modules, "librosa.filters", filters)


@pytest.mark.parametrize(("rate", "frames"), [(24000, 131072), (44100, 131072), (48000, 100001)])
def test_mel_distance_is_auralosses(librosa, rate, frames):
    x, y = noise(3.0)[:frames], 0.5 * filtered(noise(3.0, 1), [100, 8000], [6, -6])[:frames]
    size = 65536
    loss = auraloss.freq.MelSTFTLoss(rate, size, size, size, w_sc=0, w_log_mag=1, w_lin_mag=1, n_mels=128)
    wanted = float(loss(*(torch.tensor(s, dtype=torch.float32)[None, None] for s in (x, y))))
    assert deepafx.mel_distance(x, y, rate) == pytest.approx(wanted, rel=2e-4)
    assert deepafx.mel_distance(x, x, rate) == 0
    with pytest.raises(ValueError, match="more than 32768"):
        deepafx.mel_distance(x[:32768], y[:32768], rate)


def test_pesq():
    package = pytest.importorskip("pesq")
    import soundfile
    import soxr

    from afx_live.presets import clip

    x, rate = soundfile.read(clip("voice"))
    x = x if x.ndim == 1 else x.mean(1)
    worse = x + 0.02 * np.random.default_rng(0).standard_normal(len(x))
    ours, theirs = (soxr.resample(s, rate, 16000, quality="HQ") for s in (worse, x))
    assert deepafx.pesq(worse, x, rate) == pytest.approx(package.pesq(16000, theirs, ours, "wb"))
    assert deepafx.pesq(x, x, rate) > 4.6 > deepafx.pesq(worse, x, rate) + 1.0
    with pytest.raises(ValueError, match="PESQ cannot judge"):
        deepafx.pesq(0 * x, 0 * x, rate)


def test_without_the_package_pesq_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(deepafx.MissingPackage, match="pip install pesq"):
        deepafx.pesq(noise(1.0), noise(1.0), RATE)


# --- all of it ------------------------------------------------------------------------------------


def test_score_knows_every_name_and_hides_no_failure(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    x = noise()
    settings = ChainSettings((COMPRESSOR, EffectSettings("reverb", {"rt60_s": 0.8, "mix": 0.3})))
    truth = played(x, *settings.effects)
    pair = Pair(x, truth, truth, RATE, "noise", settings)
    failures: dict[str, str] = {}
    exact = score(Result(truth, settings), pair, speech=True, failures=failures)
    assert set(exact) == set(METRICS)
    assert set(failures) == {"pesq"}
    known = {k: v for k, v in exact.items() if v is not None}
    assert {"rt60_share", "response_compressor", "response_reverb", "msd"} <= set(known)
    assert exact["eq_curve_db"] is None  # f has no equaliser
    assert known.pop("gain_reduction_r") == pytest.approx(1.0)
    assert known == pytest.approx(dict.fromkeys(known, 0.0), abs=1e-9)
    with pytest.raises(deepafx.MissingPackage):
        score(Result(truth), pair, speech=True)
    nothing = score(Result(x), pair)
    assert nothing["rt60_share"] is None  # no chain to ask
    assert (nothing["matched_stft"] or 0.0) > 0.05
    short = Pair(x[:20000], truth[:20000], truth[:20000], RATE, "noise")
    failures = {}
    assert score(Result(x[:20000]), short, failures=failures)["msd"] is None
    assert "32768" in failures["msd"]
