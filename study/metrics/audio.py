"""How far a result is from the truth: errors in numbers that others have reported too.

All audio is mono, shape (frames,), full scale 1. `result` is a system's output, `truth` the right
answer. Every function is symmetric in the two, 0 for equal signals, and finite for
silence. Each raises ValueError for another shape, for NaN or Inf, and for no frames at all; the
spectral ones also for two lengths.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache, wraps
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ...dsp.loudness import integrated_loudness
from ...dsp.spectrum import STFT_FLOOR

Audio = NDArray[np.float64]
T = TypeVar("T")

WINDOWS = (32, 128, 512, 2048, 8192, 32768)
"""Window sizes of the STFT error, in frames; hops are half of them."""
MATCHED_LUFS = -23.0
"""Loudness at which clips are compared when level should not count (EBU R 128's target)."""
MEL_BANDS = 64
"""Bands of the mel error, 30 Hz to 16 kHz."""
_MEL_FLOOR = 1e-8  # of the power in the middle bin of a full-scale sine: -80 dB
_RMS_FLOOR = 1e-6  # -120 dBFS
_LUFS_FLOOR = -70.0  # BS.1770's absolute gate
_CHUNK = 1 << 16  # samples transformed at once, to fit into a processor's cache


def mono(x: ArrayLike) -> Audio:
    """Return audio as float64 (frames,); ValueError for another shape, no frames, NaN or Inf."""
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or not len(x):
        raise ValueError(f"audio is mono, of shape (frames,), not {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("audio holds NaN or Inf")
    return x


def memoised(measure: Callable[..., T]) -> Callable[..., T]:
    """Keep a measure's last two values: for several results in a row, the truth is analysed once.

    Its arguments are clips and numbers, by position; its value must not be written to.
    """

    @lru_cache(maxsize=2)
    def known(*key: tuple[bytes, tuple[int, ...]] | float) -> T:
        return measure(*(np.frombuffer(k[0]).reshape(k[1]) if isinstance(k, tuple) else k for k in key))

    @wraps(measure)
    def look_up(*arguments: ArrayLike) -> T:
        given = (np.asarray(a, np.float64) for a in arguments)
        return known(*((a.tobytes(), a.shape) if a.ndim else float(a) for a in given))

    return look_up


def of_one_length(result: ArrayLike, truth: ArrayLike) -> tuple[Audio, Audio]:
    """Check two clips as `mono` does; ValueError for two lengths, too."""
    result, truth = mono(result), mono(truth)
    if len(result) != len(truth):
        raise ValueError(f"result has {len(result)} frames, truth has {len(truth)}")
    return result, truth


def hann(size: int) -> Audio:
    """Return the periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def _power(x: Audio, size: int, hop: int) -> Iterator[Audio]:
    """Yield power spectra (frames, size // 2 + 1), a few frames at a time, no padding, Hann window."""
    frames = sliding_window_view(x, size)[::hop]
    window = hann(size)
    step = max(1, _CHUNK // size)
    for i in range(0, len(frames), step):
        spectrum = np.fft.rfft(frames[i : i + step] * window)
        yield np.square(spectrum.real) + np.square(spectrum.imag)


@memoised
def _spectra(x: Audio) -> list[Audio]:
    """Return power spectra (frames, bins) of a clip with reflected edges, one for each of WINDOWS."""
    return [np.concatenate([*_power(np.pad(x, size // 2, "reflect"), size, size // 2)]) for size in WINDOWS]


def stft_error(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the multi-resolution STFT error, without a unit: the main figure of DeepAFx-ST's tables.

    For each of WINDOWS: mean |ln magnitude difference| + mean |magnitude difference|; then the mean.
    It is auraloss 0.4's MultiResolutionSTFTLoss(WINDOWS, hops of half, w_sc=0, w_phs=0, w_lin_mag=1,
    w_log_mag=1): Hann windows, reflected edges, magnitudes held at or above 1e-4. Windows count
    frames, not seconds, so that figures compare at one sample rate only; `sample_rate` is not used.
    Raises ValueError for less than 16385 frames, which the largest window needs.
    C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable
    Signal Processing, JAES 70(9), 2022.
    """
    return _stft_error(*of_one_length(result, truth), 0.0, 0.0)


def _stft_error(result: Audio, truth: Audio, result_gain_db: float, truth_gain_db: float) -> float:
    if len(result) <= WINDOWS[-1] // 2:
        raise ValueError(f"the STFT error needs more than {WINDOWS[-1] // 2} frames, not {len(result)}")
    ours, theirs = 10 ** (result_gain_db / 10), 10 ** (truth_gain_db / 10)
    total = 0.0
    for whole in zip(_spectra(result), _spectra(truth), strict=True):
        error, step = 0.0, max(1, _CHUNK // whole[0].shape[1])
        for i in range(0, len(whole[0]), step):
            p, q = (s[i : i + step] * gain for s, gain in zip(whole, (ours, theirs), strict=True))
            np.maximum(p, STFT_FLOOR, out=p)
            np.maximum(q, STFT_FLOOR, out=q)
            error += 0.5 * float(np.abs(np.log(p / q)).sum()) + float(np.abs(np.sqrt(p) - np.sqrt(q)).sum())
        total += error / whole[0].size
    return total / len(WINDOWS)


def matched(x: ArrayLike, sample_rate: float) -> Audio:
    """Bring a clip to MATCHED_LUFS; silence is left alone."""
    x = mono(x)
    return x * 10 ** (_gain_db(x, sample_rate) / 20)


@memoised
def _gain_db(x: Audio, sample_rate: float) -> float:
    """Return the gain to MATCHED_LUFS; 0 for silence."""
    loudness = integrated_loudness(x, sample_rate)
    return MATCHED_LUFS - loudness if np.isfinite(loudness) else 0.0


def matched_stft_error(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure `stft_error` after both are brought to -23 LUFS: tone and dynamics without level."""
    clips = of_one_length(result, truth)
    return _stft_error(*clips, *(_gain_db(x, sample_rate) for x in clips))


@cache
def _mel_bands(size: int, sample_rate: float) -> Audio:
    """Triangles of unit height over the bins of an FFT, (bins, bands); O'Shaughnessy's mel."""
    bottom, top = 1 + 30.0 / 700, 1 + min(16000.0, sample_rate / 2) / 700
    edges = 700 * (np.geomspace(bottom, top, MEL_BANDS + 2) - 1)  # mel is the log of 1 + f / 700
    hz = np.fft.rfftfreq(size, 1 / sample_rate)[:, None]
    low, mid, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid)))


def log_mel_error(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the mean difference of 64 mel bands in dB, both clips at -23 LUFS.

    Frames of 100 ms, hop 50 ms, Hann; band powers in dB, held at or above -80 dB, where 0 dB is the
    middle bin of a full-scale sine. Coarse in time and frequency, it responds to tone and
    envelope, not to the fine structure of noise. Raises ValueError for less than 100 ms.
    """
    result, truth = of_one_length(result, truth)
    size = round(sample_rate / 10)
    if len(result) < size:
        raise ValueError(f"the mel error needs {size} frames (100 ms), not {len(result)}")
    ours, theirs = (mel_levels_db(matched(x, sample_rate), sample_rate) for x in (result, truth))
    return float(np.abs(ours - theirs).mean())


@memoised
def mel_levels_db(x: Audio, sample_rate: float) -> Audio:
    """Return levels (frames, bands) of MEL_BANDS bands as `log_mel_error` compares them."""
    size = round(sample_rate / 10)
    bands, full = _mel_bands(size, sample_rate), (size / 4) ** 2
    # einsum: BLAS starts threads for each of these small products, which stall on a busy machine.
    powers = [np.einsum("fb,bm->fm", power, bands) for power in _power(x, size, size // 2)]
    return 10 * np.log10(np.maximum(np.concatenate(powers) / full, _MEL_FLOOR))


@memoised
def _centroid(x: Audio, sample_rate: float) -> float:
    hz = np.fft.rfftfreq(2048, 1 / sample_rate)
    total, count = 0.0, 0
    for power in _power(np.pad(x, 1024, "reflect" if len(x) > 1024 else "constant"), 2048, 512):
        magnitude = np.sqrt(power)
        total += float(np.sum(np.einsum("fb,b->f", magnitude, hz) / (magnitude.sum(axis=1) + 1e-12)))
        count += len(power)
    return total / count


def centroid_error_hz(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the difference of mean spectral centroids in Hz; the lengths may differ.

    As in DeepAFx-ST: windows of 2048, hop 512, Hann, magnitudes; the mean over all frames, each
    counted once. A frame of silence counts as 0 Hz.
    """
    return abs(_centroid(mono(result), sample_rate) - _centroid(mono(truth), sample_rate))


def _rms_db(x: Audio) -> float:
    return float(20 * np.log10(max(np.sqrt(np.mean(np.square(x))), _RMS_FLOOR)))


def rms_error_db(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the difference of RMS levels in dB, held at or above -120 dBFS; the lengths may differ.

    DeepAFx-ST prints 20 ln, not 20 log10: divide its figures by 2.303.
    """
    return abs(_rms_db(mono(result)) - _rms_db(mono(truth)))


def _crest_db(x: Audio) -> float:
    return float(20 * np.log10(max(np.abs(x).max(), _RMS_FLOOR))) - _rms_db(x)


def crest_error_db(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the difference of crest factors (peak over RMS) in dB; the lengths may differ.

    Silence has a crest factor of 0 dB. DeepAFx-ST's figures: see `rms_error_db`.
    """
    return abs(_crest_db(mono(result)) - _crest_db(mono(truth)))


def loudness_error_lu(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the difference of integrated loudness in LU, held at or above -70 LUFS; the lengths may differ."""
    ours, theirs = (integrated_loudness(mono(x), sample_rate) for x in (result, truth))
    return abs(max(ours, _LUFS_FLOOR) - max(theirs, _LUFS_FLOOR))
