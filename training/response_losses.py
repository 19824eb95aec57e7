"""Losses in the space of what settings do: curves in dB, decay times, not knob positions.

Many settings give one sound, so an error in knobs says little. None of this renders audio: a step
costs what the small network costs.
"""

from typing import Any

import torch

from ..chain import ChainParameters
from ..dsp import array_math
from ..dsp.loudness import k_weighting_response
from ..effects import Effect, compressor, distortion, equaliser
from .features import SAMPLE_RATE, band_centres

LEVELS_DB = torch.arange(-50.0, 1.0, 5.0)


def equaliser_curve(values: torch.Tensor) -> torch.Tensor:
    """Give the magnitude in dB at the model's bands: (batch, 18) to (batch, 64), differentiable."""
    return equaliser.curve_db(values, band_centres().numpy(), SAMPLE_RATE).to(values)


def compressor_curve(values: torch.Tensor) -> torch.Tensor:
    """Give the static gain in dB at levels of -50 to 0 dB: (batch, 6) to (batch, 11)."""
    threshold, ratio, _, _, knee, _ = (v[:, None] for v in values.unbind(1))
    return compressor.static_gain_db(LEVELS_DB.to(values), threshold, ratio, knee)


def distortion_curve(values: torch.Tensor) -> torch.Tensor:
    """Give the gain in dB of both half-waves at peaks of -50 to 0 dB: (batch, 4) to (batch, 22)."""
    drive_db, bias, _, mix = (v[:, None] for v in values.unbind(1))
    peak, halves = 10 ** (LEVELS_DB.to(values) / 20), []
    for sign in (1.0, -1.0):
        wet = sign * distortion.curve(sign * peak, drive_db, bias)
        halves.append(20 * torch.log10(((1 - mix) * peak + mix * wet) / peak + 1e-4))
    return torch.cat(halves, 1)


def equaliser_error(p: torch.Tensor, wanted_db: torch.Tensor) -> torch.Tensor:
    """Mean error of the curve's shape, in units of 3 dB; (batch,). A level is solved, not predicted."""
    return curve_error(shape(equaliser_curve(p) - wanted_db))


def band_weights() -> torch.Tensor:
    """Weigh bands half evenly to the ear (mel) and half by their width in Hz; the mean is 1.

    An STFT counts bins, of which the highest octave has half; the ear does not.
    """
    width = torch.gradient(band_centres())[0]
    return 0.5 + 0.5 * width / width.mean()


def curve_error(difference_db: torch.Tensor) -> torch.Tensor:
    """Weighted mean error of curves (batch, bands) in units of 3 dB; (batch,)."""
    return (band_weights().to(difference_db) * difference_db.abs()).mean(1) / 3.0


def shape(curve_db: torch.Tensor) -> torch.Tensor:
    """Take the (weighted) mean off a curve."""
    return curve_db - (band_weights().to(curve_db) * curve_db).mean(1, keepdim=True)


def band_loudness() -> torch.Tensor:
    """Give how much power in each band counts for loudness: K-weighting times the band's width."""
    hz = band_centres().double()
    gain = torch.from_numpy(k_weighting_response(hz.numpy(), SAMPLE_RATE))
    return (gain.square() * torch.gradient(hz)[0]).float()


def louder_by(average_db: Any, curve_db: Any) -> Any:
    """Tell by how many dB curves (…, bands) make clips of such average spectra (…, bands) louder: (…,).

    Arrays or tensors that broadcast.
    """
    power = 10.0 ** (average_db / 10.0) * array_math.constant(band_loudness().numpy(), average_db)
    return 10.0 * array_math.log10((power * 10.0 ** (curve_db / 10.0)).sum(-1) / power.sum(-1))


def compressor_error(p: torch.Tensor, t: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Error of the static curve in units of 3 dB, and of the time constants where they can be heard."""
    curve = compressor_curve(t)
    depth = (-curve[:, -3] / 6.0).clamp(0.0, 1.0)
    times = ((p[:, 2:4].log() - t[:, 2:4].log()).abs() * confidence[:, 2:4]).sum(1)
    return confidence[:, 0] * (compressor_curve(p) - curve).abs().mean(1) / 3.0 + 0.25 * depth * times


def distortion_error(p: torch.Tensor, t: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Error of the curve in units of 2 dB, and of the tone control in octaves."""
    tone = (p[:, 2].log2() - t[:, 2].log2()).abs() * confidence[:, 2]
    bent = (distortion_curve(p) - distortion_curve(t)).abs().mean(1) * confidence[:, 0]
    return bent / 2.0 + 0.5 * t[:, 3] * tone


def reverb_error(p: torch.Tensor, t: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Error of decay time in octaves, wet share in sixths, and the rest by how well it is heard."""
    rt60 = (p[:, 0].log2() - t[:, 0].log2()).abs()
    damping = 2.0 * (p[:, 1] - t[:, 1]).abs()
    before = (p[:, 2] - t[:, 2]).abs() / 40.0
    low_cut = 0.1 * (p[:, 3].log2() - t[:, 3].log2()).abs()
    wet = 6.0 * (p[:, 5] - t[:, 5]).abs()
    return (torch.stack([rt60, damping, before, low_cut, wet], 1) * confidence[:, [0, 1, 2, 3, 5]]).sum(1)


NEARER = 0.8
"""An effect serves if it leaves at most so much of the error of doing without it."""


def serves(chain: ChainParameters, predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Tell where each effect, as predicted, comes nearer to the true one than none would: (batch, effects), 0 or 1.

    Values (batch, params) twice. The equaliser's is told from its curve, see `SettingsSystem`; 1 here.
    """
    out = torch.ones(len(true), len(chain.order), device=true.device)
    for i, effect in enumerate(chain.effects):
        p, t = predicted[:, chain.columns(effect.name)], true[:, chain.columns(effect.name)]
        if effect.name in STATIC:
            ours, theirs = STATIC[effect.name](p), STATIC[effect.name](t)
            out[:, i] = ((ours - theirs).abs().mean(1) < NEARER * theirs.abs().mean(1)).float()
        elif effect.name == "reverb":
            out[:, i] = reverb_serves(p, t).float()
        elif effect.name != "equaliser":
            out[:, i] = knobs_serve(effect, p, t).float()
    return out


def reverb_serves(p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Tell where the decay time is right within an octave, and the wet share about right: (batch,), bool."""
    return ((p[:, 0].log2() - t[:, 0].log2()).abs() < 1.0) & ((p[:, 5] - t[:, 5]).abs() < 0.6 * t[:, 5])


def gains(
    chain: ChainParameters, predicted: torch.Tensor, true: torch.Tensor, on: torch.Tensor, curve_db: torch.Tensor,
    wanted_db: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Tell how much nearer to f each effect, as predicted, comes than none: (batch, effects), in units of about 3 dB.

    Values (batch, params) twice; on (batch, effects): what f has; curves (batch, bands) of the equaliser, as predicted
    and f's. An effect that f lacks gains less than nothing: the more it does, the less.
    """
    columns = []
    for i, effect in enumerate(chain.effects):
        p, t = predicted[:, chain.columns(effect.name)], true[:, chain.columns(effect.name)]
        if effect.name == "equaliser":
            columns.append(curve_error(wanted_db) - curve_error(curve_db - wanted_db))
        elif effect.name in STATIC:
            ours, theirs = STATIC[effect.name](p), on[:, i, None] * STATIC[effect.name](t)
            columns.append((theirs.abs().mean(1) - (ours - theirs).abs().mean(1)) / 3.0)
        elif effect.name == "reverb":
            wet = 6.0 * t[:, 5] - reverb_error(p, t, torch.ones_like(t))
            columns.append(torch.where(on[:, i] > 0.0, wet, -6.0 * p[:, 5]))
        else:
            nearer = knobs_between(effect, t) - knobs_between(effect, p, t)
            columns.append(torch.where(on[:, i] > 0.0, nearer, -knobs_between(effect, p)))
    return torch.stack(columns, 1)


def knobs_serve(effect: Effect, p: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Tell where knobs that say how much an effect does are nearer to the true ones than neutral ones are: (batch,)."""
    return knobs_between(effect, p, t) <= NEARER * knobs_between(effect, t)


def knobs_between(effect: Effect, p: torch.Tensor, t: torch.Tensor | None = None) -> torch.Tensor:
    """Tell how far the knobs that say how much an effect does are from others, or from neutral ones: (batch,)."""
    out = torch.zeros(len(p)).to(p)
    for i, q in enumerate(effect.params):
        if q.neutral is not None:
            out = out + (q.unit(p[:, i]) - (q.unit(q.neutral) if t is None else q.unit(t[:, i]))).abs()
    return out


def knobs_error(effect: Effect, p: torch.Tensor, t: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Error of the knobs themselves, in (0, 1) each; (batch,). For an effect without a response of its own."""
    both = [(q.unit(p[:, i]), q.unit(t[:, i])) for i, q in enumerate(effect.params)]
    return (torch.stack([(ours - theirs).abs() for ours, theirs in both], 1) * confidence).sum(1)


STATIC = {"compressor": compressor_curve, "distortion": distortion_curve}
ERRORS = {
    "compressor": compressor_error,
    "distortion": distortion_error,
    "reverb": reverb_error,
}


def errors(
    chain: ChainParameters,
    predicted: torch.Tensor,
    true: torch.Tensor,
    confidence: torch.Tensor | None = None,
    curve_db: torch.Tensor | None = None,
) -> torch.Tensor:
    """Give each effect's error: values (batch, params) twice, to (batch, effects).

    confidence (batch, params), 0 to 1, weighs what each true value says; all of it without. curve_db (batch,
    bands) is the equaliser's, where its true values do not tell. An effect without a response of its
    own is judged by its knobs, in (0, 1).
    """
    rows, confidence = [], torch.ones_like(true) if confidence is None else confidence
    for effect in chain.effects:
        columns = chain.columns(effect.name)
        p, t, c = predicted[:, columns], true[:, columns], confidence[:, columns]
        if effect.name == "equaliser":
            rows.append(c[:, 0] * equaliser_error(p, equaliser_curve(t) if curve_db is None else curve_db))
        elif effect.name in ERRORS:
            rows.append(ERRORS[effect.name](p, t, c))
        else:
            rows.append(knobs_error(effect, p, t, c))
    return torch.stack(rows, 1)
