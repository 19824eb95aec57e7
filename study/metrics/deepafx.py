"""Two metrics as DeepAFx-ST computes them, for comparison with its tables: PESQ and the mel distance.

All audio is mono, shape (frames,), full scale 1, `result` and `truth` of one length. By
themselves they say less than `matched_stft_error` does: PESQ was made for telephone speech, and the mel
distance takes three frames of a clip.
C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable Signal
Processing, JAES 70(9), 2022.
"""

from functools import cache

import numpy as np
import soxr
from numpy.typing import ArrayLike

from .audio import Audio, hann, memoised, of_one_length

MSD_WINDOW = 65536
"""Frames of a window of the mel distance, and of its hop."""
MSD_BANDS = 128
PESQ_RATE = 16000
_POWER_FLOOR = 1e-8  # auraloss' eps


class MissingPackage(RuntimeError):
    """A package that a metric needs is not installed; the message says which and how to get it."""


def pesq(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure PESQ, wide band (ITU-T P.862.2): 1 bad to 4.64 equal. For speech only.

    Both are resampled to 16 kHz. Raises MissingPackage without the package `pesq`, and ValueError where
    PESQ finds no speech in the truth.
    """
    try:
        import pesq as package  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingPackage("PESQ needs the package pesq (pip install pesq, or 'afx-live[dev]')") from None
    result, truth = (soxr.resample(x, sample_rate, PESQ_RATE, quality="HQ") for x in of_one_length(result, truth))
    try:
        return float(package.pesq(PESQ_RATE, truth, result, "wb"))
    except package.PesqError as error:
        raise ValueError(f"PESQ cannot judge this clip: {error}") from None


def mel_distance(result: ArrayLike, truth: ArrayLike, sample_rate: float) -> float:
    """Measure the paper's MSD, without a unit: mean |ln difference| + mean |difference| of 128 mel magnitudes.

    It is auraloss 0.4's MelSTFTLoss(sample_rate, 65536, 65536, 65536, w_sc=0, w_log_mag=1,
    w_lin_mag=1, n_mels=128): Hann windows that do not overlap, edges reflected by half a window, so
    three frames of a clip of 131072. Raises ValueError for 32768 frames or fewer, which reflection
    needs.
    """
    result, truth = of_one_length(result, truth)
    if len(result) <= MSD_WINDOW // 2:
        raise ValueError(f"the mel distance needs more than {MSD_WINDOW // 2} frames, not {len(result)}")
    ours, theirs = (_mel_magnitudes(x, sample_rate) for x in (result, truth))
    return float(np.abs(np.log(ours / theirs)).mean() + np.abs(ours - theirs).mean())


@memoised
def _mel_magnitudes(x: Audio, sample_rate: float) -> Audio:
    padded = np.pad(x, MSD_WINDOW // 2, "reflect")
    frames = padded[: len(padded) // MSD_WINDOW * MSD_WINDOW].reshape(-1, MSD_WINDOW)
    spectrum = np.fft.rfft(frames * hann(MSD_WINDOW))
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    # einsum: BLAS starts threads for so small a product, which stall on a busy machine.
    return np.einsum("fb,bm->fm", np.sqrt(np.maximum(power, _POWER_FLOOR)), _slaney_bands(float(sample_rate)))


@cache
def _slaney_bands(sample_rate: float) -> Audio:
    """Give librosa's default mel bands, (bins, 128): 0 Hz to half the rate, Slaney's scale, triangles of one area.

    M. Slaney, Auditory Toolbox, 1998: 3 mel to 200 Hz up to 1 kHz, 27 to a factor of 6.4 above.
    """
    nyquist = sample_rate / 2
    step = np.log(6.4) / 27
    top = nyquist * 3 / 200 if nyquist < 1000 else 15 + np.log(nyquist / 1000) / step
    mel = np.linspace(0.0, top, MSD_BANDS + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (np.maximum(mel, 15) - 15)))
    hz = np.linspace(0.0, nyquist, MSD_WINDOW // 2 + 1)[:, None]
    low, mid, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid))) * 2 / (high - low)
