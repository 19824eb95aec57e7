import auraloss
import numpy as np
import pyloudnorm
import pytest
import torch

from afx_live.dsp.loudness import integrated_loudness
from afx_live.study.metrics import audio, spectrum
from afx_live.study.metrics.bootstrap import bootstrap_interval
from afx_live.study.systems import baselines

RATE = 44100
ALL = [
    audio.stft_error,
    audio.matched_stft_error,
    audio.log_mel_error,
    audio.centroid_error_hz,
    audio.rms_error_db,
    audio.crest_error_db,
    audio.loudness_error_lu,
]


def sine(hz, seconds=2.0, peak=0.5):
    return peak * np.sin(2 * np.pi * hz / RATE * np.arange(round(seconds * RATE)))


def noise(seconds=2.0, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def tilted(x, pole=0.7):
    """A one-pole low-pass."""
    return np.convolve(x, pole ** np.arange(60))[: len(x)]


def auralosses(x, y):
    sizes = [32, 128, 512, 2048, 8192, 32768]
    loss = auraloss.freq.MultiResolutionSTFTLoss(
        sizes, [s // 2 for s in sizes], sizes, w_sc=0, w_phs=0, w_lin_mag=1, w_log_mag=1
    )
    for one in loss.stft_losses:
        one.window = one.window.double()
    return float(loss(torch.tensor(x)[None, None], torch.tensor(y)[None, None]))


@pytest.mark.slow
@pytest.mark.parametrize("frames", [16385, 50000, 2 * RATE + 17])
def test_stft_error_is_auralosses(frames):
    x, y = sine(440.0, 3)[:frames], noise(3)[:frames]
    assert audio.stft_error(x, y, RATE) == pytest.approx(auralosses(x, y), abs=1e-4, rel=1e-6)


@pytest.mark.slow
def test_stft_error_holds_quiet_bins_as_auraloss_does():
    x, y = 1e-5 * noise(), np.zeros(2 * RATE)
    y[:RATE] = tilted(noise())[:RATE]
    assert audio.stft_error(x, y, RATE) == pytest.approx(auralosses(x, y), abs=1e-4)
    assert audio.stft_error(1e-9 * x, 0 * x, RATE) == 0


def test_stft_error_of_a_gain_in_closed_form():
    x = noise()
    linear = audio.stft_error(x, 2 * x, RATE) - np.log(2)
    assert audio.stft_error(x, 4 * x, RATE) - np.log(4) == pytest.approx(3 * linear, rel=1e-3)


@pytest.mark.parametrize("metric", ALL)
def test_equal_symmetric_finite(metric):
    x, y = noise(), sine(300.0)
    assert metric(x, x, RATE) == 0
    assert metric(x, y, RATE) == pytest.approx(metric(y, x, RATE))
    assert metric(x, y, RATE) > 0.05
    assert np.isfinite(metric(x, 0 * x, RATE))
    assert metric(0 * x, 0 * x, RATE) == 0


@pytest.mark.parametrize("metric", ALL)
def test_refusals(metric):
    for bad in (np.zeros((40000, 2)), np.zeros(0), np.full(40000, np.nan)):
        with pytest.raises(ValueError, match="audio"):
            metric(bad, bad, RATE)


@pytest.mark.parametrize("metric", ALL[:3])
def test_spectral_errors_refuse_other_lengths(metric):
    with pytest.raises(ValueError, match="frames"):
        metric(noise(1.0), noise(2.0), RATE)
    with pytest.raises(ValueError, match="needs"):
        metric(np.zeros(1000), np.zeros(1000), RATE)


@pytest.mark.parametrize("metric", [audio.matched_stft_error, audio.log_mel_error])
def test_matched_errors_ignore_level(metric):
    x = noise()
    assert metric(x, 0.1 * x, RATE) == pytest.approx(0, abs=1e-9)
    assert metric(x, 0.1 * tilted(x), RATE) == pytest.approx(metric(x, tilted(x), RATE))


def test_matched_is_at_minus_23():
    assert pyloudnorm.Meter(RATE).integrated_loudness(audio.matched(noise(), RATE)) == pytest.approx(-23, abs=0.1)


def test_levels_in_closed_form():
    x, half = sine(441.0), 0.5 * sine(441.0)
    assert audio.rms_error_db(half, x, RATE) == pytest.approx(20 * np.log10(2))
    assert audio.loudness_error_lu(half, x, RATE) == pytest.approx(20 * np.log10(2))
    assert audio.rms_error_db(x, 0 * x, RATE) == pytest.approx(120 - 20 * np.log10(2 * np.sqrt(2)), abs=1e-6)
    square = np.sign(sine(441.0, peak=1.0) + 1e-9)
    assert audio.crest_error_db(x, square, RATE) == pytest.approx(10 * np.log10(2), abs=0.02)
    assert audio.crest_error_db(half, x, RATE) == pytest.approx(0, abs=1e-9)


def test_loudness_error_is_pyloudnorms():
    x, y = noise(), 0.2 * tilted(noise())
    meter = pyloudnorm.Meter(RATE)
    wanted = abs(meter.integrated_loudness(x) - meter.integrated_loudness(y))
    assert audio.loudness_error_lu(x, y, RATE) == pytest.approx(wanted, abs=0.1)


def test_centroid_of_tones():
    assert audio.centroid_error_hz(sine(1000.0), sine(3500.0, 1.0), RATE) == pytest.approx(2500, rel=0.01)


def test_mel_error():
    bands = audio._mel_bands(4410, RATE)
    assert bands.shape == (2206, 64)
    assert bands.max() <= 1
    assert (bands.max(axis=0) > 0.5).all()  # no band falls between the bins
    low, high = sine(200.0, peak=0.1), sine(4000.0, peak=0.1)
    near, far = (audio.log_mel_error(low + high, low + gain * high, RATE) for gain in (0.9, 0.3))
    assert 0 < near < far
    # A tone against silence: only the bands the tone is in rise over the floor, by less than 80 dB each.
    tone = np.sum(bands[round(4000.0 / RATE * 4410)] > 0)
    assert audio.log_mel_error(sine(4000.0), 0 * low, RATE) < 80 * (tone + 2) / 64


def test_bootstrap():
    values = np.random.default_rng(0).standard_normal(400) + 5
    low, high = bootstrap_interval(values, draws=4000)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.015)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    narrow = bootstrap_interval(values, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_of_groups():
    rng = np.random.default_rng(1)
    group = np.repeat(rng.standard_normal(20), 10)  # ten equal values of each recording: 20 facts, not 200
    labels = [f"recording {i // 10}" for i in range(200)]
    low, high = bootstrap_interval(group, labels)
    plain_low, plain_high = bootstrap_interval(group)
    assert (high - low) / (plain_high - plain_low) == pytest.approx(np.sqrt(10), rel=0.15)
    assert np.isnan(bootstrap_interval([1.0, 2.0], ["a", "a"])).all()


@pytest.mark.parametrize(
    ("values", "options"),
    [([], {}), ([np.nan], {}), ([[1.0]], {}), ([1.0], {"groups": ["a", "b"]}), ([1.0], {"level": 1.0})],
)
def test_bootstrap_refuses(values, options):
    with pytest.raises(ValueError, match=r"values|level"):
        bootstrap_interval(values, **options)


# --- baselines ------------------------------------------------------------------------------------


def bursts(seed):
    """Music of sorts: decaying harmonic notes of random pitch over a little noise, 4 s."""
    rng = np.random.default_rng(seed)
    x, t = 1e-3 * rng.standard_normal(4 * RATE), np.arange(RATE // 2) / RATE
    for start in rng.integers(0, 3 * RATE, 30):
        hz = 80 * 2 ** rng.uniform(0, 3)
        for k in range(1, min(40, int(16000 / hz))):
            x[start : start + len(t)] += 0.1 / k * np.sin(2 * np.pi * k * hz * t) * np.exp(-t * 6)
    return x


def curve_filter(x, hz=(31.5, 100, 400, 1500, 5000, 16000), db=(6, 8, -4, 5, -9, 4)):
    fir = spectrum.minimum_phase_fir(np.array(hz, float), np.array(db, float), RATE)
    return spectrum.filtered(x, fir)


@pytest.fixture(scope="module")
def pair():
    """An input, a reference (other notes) and the truth: a pure-EQ pair of one instrument."""
    a, b = bursts(1), bursts(2)
    return a, 0.5 * curve_filter(b), 0.5 * curve_filter(a)


def test_minimum_phase_keeps_the_curve():
    hz, db = np.array([50.0, 500.0, 5000.0]), np.array([6.0, -12.0, 3.0])
    fir = spectrum.minimum_phase_fir(hz, db, RATE)
    response = 20 * np.log10(np.abs(np.fft.rfft(fir, 1 << 16)))
    at = np.round(hz / RATE * (1 << 16)).astype(int)
    np.testing.assert_allclose(response[at[1:]], db[1:], atol=0.2)
    assert response[at[0]] == pytest.approx(6, abs=0.7)
    assert np.argmax(np.abs(fir)) == 0
    np.testing.assert_allclose(spectrum.minimum_phase_fir(hz, 0 * db, RATE), np.eye(1, spectrum.TAPS)[0], atol=1e-12)


@pytest.mark.slow
def test_baselines_rank_as_they_should(pair):
    a, reference, truth = pair
    systems = [baselines.do_nothing, baselines.match_eq(0.5), baselines.match_eq(1.0)]
    nothing, half, full = (audio.matched_stft_error(s(a, reference, RATE), truth, RATE) for s in systems)
    assert full < half < nothing
    assert full < 0.45 * nothing


@pytest.mark.parametrize("system", [baselines.only_loudness, baselines.match_eq(), baselines.match_eq(0.5)])
def test_loudness_is_the_references(system, pair):
    a, reference, _ = pair
    y = system(a, reference[: 3 * RATE], RATE)
    assert y.shape == a.shape
    assert integrated_loudness(y, RATE) == pytest.approx(integrated_loudness(reference[: 3 * RATE], RATE), abs=0.05)


def test_match_eq_of_itself_changes_nothing(pair):
    a, _, _ = pair
    np.testing.assert_allclose(baselines.match_eq()(a, a, RATE), a, atol=1e-9)
    np.testing.assert_allclose(baselines.match_eq(0.0)(a, 0.3 * a[::-1], RATE), 0.3 * a, atol=0.03)


def test_baselines_leave_silence_and_refuse_nonsense():
    x, silence = noise(), np.zeros(RATE)
    for system in (baselines.do_nothing, baselines.only_loudness, baselines.match_eq()):
        np.testing.assert_array_equal(system(x, silence, RATE), x)
        np.testing.assert_array_equal(system(silence, x, RATE), silence)
        with pytest.raises(ValueError, match="mono"):
            system(np.zeros((9, 2)), x, RATE)
    with pytest.raises(ValueError, match="amount"):
        baselines.match_eq(1.5)
    assert len(baselines.match_eq()(x[:3000], x, RATE)) == 3000  # shorter than an analysis frame
