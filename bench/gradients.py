"""Benchmark 3: forward and backward of each effect, against dasp-pytorch and torchaudio, and how exact they are.

    pip install '.[train]' -r bench/requirements.txt
    python bench/gradients.py > bench/GRADIENTS.md

Batches of (8, 131072) frames at 48 kHz, float32. Everything is differentiated in the input and in every parameter.
Errors are against references written here, in float64, by other means than our kernels: lfilter, a plain loop over
frames, a transfer function. About two minutes.
"""

import math
from collections.abc import Callable

import dasp_pytorch.functional as dasp  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from common import BANDS, EFFECTS, RATE, machine, median_of, programme, ratio, table, take_turns
from torch import Tensor
from torchaudio.functional import lfilter

from afx_live.dsp import feedback_delay_network as fdn
from afx_live.dsp import oversampling
from afx_live.effects import load, reverb

BATCH, FRAMES, ROUNDS = 8, 131072, 9
FEW = {"reverb": 3}  # rounds: dasp-pytorch takes a quarter of a minute for each
LOOP = 8192  # frames of the reference that is a plain loop
Effect = Callable[[Tensor, list[Tensor]], Tensor]
BAR_TIMES, BAR_DB = 15.0, -120.0
TEXT = """\
# Gradients

    python bench/gradients.py > bench/GRADIENTS.md

Forward and backward of {batch} sounds of {frames} frames (mono, 48 kHz, float32): milliseconds, median of {rounds}
rounds in turns, {threads} threads. Ratios are medians over rounds with their 95 % intervals: how many times as long the
peer takes. The reverbs take {few} rounds only, as dasp-pytorch's is slow: median, minimum and maximum are
shown for them.

{speed}

{verdict}

Largest error relative to the RMS of the reference, in dB, of the output and of the gradients of a random projection of
it, in the input and in the parameters (each relative to its own size; the worst is shown):

{errors}

{verdict_db}

- dasp-pytorch approximates the recursions by sampling in frequency. Its compressor has no release (the parameter does
  nothing) and its attack is a 10 to 90 % time: "as built" is its error against itself in float64, "as meant" against
  the published design of both. Its distortion is `tanh` of a driven input, without oversampling, tone or mix; its
  reverb convolves with new noise at each call, so that there is no error to state.
- torchaudio has the recursion (`lfilter`), not the effects: its column is the same six filters, coefficients included.
- References: equaliser, `lfilter` in float64 on cookbook coefficients; compressor, a loop over the first {loop} frames;
  distortion, the half-bands as `lfilter` polynomials; reverb, the network's transfer function on a grid so fine
  that what wraps around has decayed by 200 dB. Two sounds of the batch are compared.

{machine}
"""


# --- references in float64 --------------------------------------------------------------------------


def cookbook(values: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Audio EQ Cookbook in tensors: (b, a) of each filter, shape (batch, 3)."""
    filters = []
    for i, (name, *_) in enumerate(BANDS):
        hz, gain_db, q = values[3 * i : 3 * i + 3]
        w, a = 2 * math.pi * hz / RATE, 10 ** (gain_db / 40)
        alpha, cos = torch.sin(w) / (2 * q), torch.cos(w)
        if name.startswith("peak"):
            b = (1 + alpha * a, -2 * cos, 1 - alpha * a)
            d = (1 + alpha / a, -2 * cos, 1 - alpha / a)
        else:
            k, root = (1 if name == "low_shelf" else -1), 2 * a.sqrt() * alpha
            b = (
                a * (a + 1 - k * (a - 1) * cos + root),
                k * 2 * a * (a - 1 - k * (a + 1) * cos),
                a * (a + 1 - k * (a - 1) * cos - root),
            )
            d = (
                a + 1 + k * (a - 1) * cos + root,
                -k * 2 * (a - 1 + k * (a + 1) * cos),
                a + 1 + k * (a - 1) * cos - root,
            )
        filters.append((torch.stack(b, 1), torch.stack(d, 1)))
    return filters


def equaliser(x: Tensor, values: list[Tensor]) -> Tensor:
    """Six filters by torchaudio's lfilter; float64 makes it the reference, float32 the peer."""
    for b, a in cookbook(values):
        x = lfilter(x, a / a[:, :1], b / a[:, :1], clamp=False)
    return x


def compressor(x: Tensor, values: list[Tensor]) -> Tensor:
    """Giannoulis, Massberg and Reiss (2012), frame by frame."""
    threshold_db, r, attack_ms, release_ms, knee_db, makeup_db = values
    over = 20 * torch.log10(x.abs().clamp(min=1e-6)) - threshold_db[:, None]
    knee = knee_db[:, None]
    bent = torch.where(over > knee / 2, over, (over + knee / 2).clamp(min=0) ** 2 / (2 * knee))
    u = ((1 / r - 1)[:, None] * bent).unbind(1)
    attack, release = torch.exp(-1e3 / (attack_ms * RATE)), torch.exp(-1e3 / (release_ms * RATE))
    s, gains = torch.zeros_like(r), []
    for now in u:
        pole = torch.where(now < s, attack, release)
        s = pole * s + (1 - pole) * now
        gains.append(s)
    return x * 10 ** ((torch.stack(gains, 1) + makeup_db[:, None]) / 20)


def half_band(x: Tensor, branches: tuple[tuple[float, ...], ...]) -> Tensor:
    """A0(z^2) + A1(z^2) / z as polynomials."""
    out: list[Tensor] = []
    for branch in branches:
        top = np.array([1.0])
        for a in branch:
            top = np.convolve(top, [a, 0.0, 1.0])
        b, a = (torch.tensor(v.copy()) for v in (top, top[::-1]))
        out.append(lfilter(x, a, b, clamp=False))
    return out[0] + torch.nn.functional.pad(out[1], (1, 0))[:, :-1]


def distortion(x: Tensor, values: list[Tensor]) -> Tensor:
    """Four times the rate by zeros and half-bands, tanh, DC blocker, tone, mix, and down again."""
    drive_db, bias, tone_hz, mix = (v[:, None] for v in values)
    bands = ((oversampling.A0, oversampling.A1), (oversampling.B0, oversampling.B1))
    for band in bands:
        x = half_band(torch.stack((x, torch.zeros_like(x)), 2).flatten(1), band)
    drive = 10 ** (drive_db / 20)
    bent = 0.1 / torch.tanh(0.1 * drive) * (torch.tanh(drive * x + bias) - torch.tanh(bias))
    pole = math.exp(-0.5 * math.pi * 10.0 / RATE)
    slow = lfilter(bent, bent.new_tensor([1.0, -pole]), bent.new_tensor([1.0 - pole, 0.0]), clamp=False)
    free = bent - torch.nn.functional.pad(slow, (1, 0))[:, :-1]
    p = torch.exp(-0.5 * math.pi * tone_hz / RATE)
    one, zero = torch.ones_like(p), torch.zeros_like(p)
    y = (1 - mix) * x + mix * lfilter(free, torch.cat((one, -p), 1), torch.cat((1 - p, zero), 1), clamp=False)
    for band in reversed(bands):
        # Of a half-band and every second frame, the frames between are what the other branch hears.
        y = half_band(y, band)[:, 1::2]
    return 0.25 * y


def reverb_reference(x: Tensor, values: list[Tensor]) -> Tensor:
    """The network as a transfer function; a mono sound is two equal channels, of which the left is heard."""
    rt60, ratio_, predelay_ms, low_cut_hz, width, mix = (v[:, None] for v in values)
    size = 1 << 19
    z = torch.exp(-2j * math.pi * torch.arange(size // 2 + 1, dtype=torch.float64) / size)  # z^-1
    w = 2 * math.pi * low_cut_hz / RATE
    alpha, cos = torch.sin(w) / math.sqrt(2.0), torch.cos(w)
    cut = (1 + cos) / 2 * (1 - z) ** 2 / ((1 + alpha) - 2 * cos * z + (1 - alpha) * z**2)
    delay = predelay_ms * (1e-3 * RATE)
    whole = delay.detach().floor()
    sent = cut * z**whole * (1 - (delay - whole) + (delay - whole) * z)
    lengths = [float(fdn.PRIMES[np.searchsorted(fdn.PRIMES, n)]) for n in fdn.LENGTHS]
    cos16 = math.cos(2 * math.pi * fdn.DAMPED_HZ / RATE)
    v_all, h_all, dc, nyquist, ends = [], [], 0.0, 0.0, []
    for n in lengths:
        gain = 10 ** (-3 * n / (RATE * rt60))
        r = 10 ** (-6 * n / (RATE * rt60) * (1 / ratio_ - 1))
        q = 1 - r * cos16
        pole = (1 - r) / (q + torch.sqrt(q * q - (1 - r) ** 2))
        high = gain * (1 - pole) / (1 + pole)
        dc, nyquist = dc + gain**2 / (1 - gain**2 / 2), nyquist + high**2 / (1 - high**2 / 2)
        ends.append((gain, high))
        line = gain * z ** torch.tensor(n)
        v_all.append(line)
        h_all.append(line * (1 - pole) / (1 - pole * z))
    more = [(1 / ((1 - g**2 / 2) * (1 - dc / 16)) - 1, 1 / ((1 - h**2 / 2) * (1 - nyquist / 16)) - 1) for g, h in ends]
    energy = sum(g**2 * (1 + torch.sqrt(p * q)) for (g, _), (p, q) in zip(ends, more, strict=True)) / 2
    # Line i is fed f_i = e_i + h_i f_i - 1/4 sum(h f): solved for the sum first.
    enter = [float(a + b) for a, b in zip(fdn.IN_LEFT, fdn.IN_RIGHT, strict=True)]
    loose = [1 / (1 - h) for h in h_all]
    total = sum(h * e * k for h, e, k in zip(h_all, enter, loose, strict=True)) / (
        1 + sum(h * k for h, k in zip(h_all, loose, strict=True)) / 4
    )
    fed = [(e - total / 4) * k for e, k in zip(enter, loose, strict=True)]
    rest = 10 ** (-6 * lengths[0] / (RATE * rt60))
    wet = []
    for out, taps in ((fdn.OUT_LEFT, reverb.LEFT_S), (fdn.OUT_RIGHT, reverb.RIGHT_S)):
        early = sum(float(t) * z ** int(s * RATE) for t, s in zip(reverb.TAP, taps, strict=True))
        late = sum(float(o) * v * f for o, v, f in zip(out, v_all, fed, strict=True))
        wet.append(torch.sqrt(1 - rest) * early + torch.sqrt(rest / energy) * late)
    mid = 0.5 * mix * torch.sqrt(2 / (1 + width**2))
    response = (1 - mix) + sent * (mid * (wet[0] + wet[1]) + mid * width * (wet[0] - wet[1]))
    return torch.fft.irfft(torch.fft.rfft(x, size) * response, size)[:, : x.shape[1]]


# --- those that are compared ------------------------------------------------------------------------


def ours(name: str) -> Effect:
    effect = load(name)
    return lambda x, values: effect.process(x[:, None], RATE, *values)[:, 0]


def dasp_equaliser(x: Tensor, values: list[Tensor]) -> Tensor:
    order = [values[3 * i + k] for i in range(6) for k in (1, 0, 2)]
    return dasp.parametric_eq(x[:, None], RATE, *order)[:, 0]


def dasp_compressor(x: Tensor, values: list[Tensor]) -> Tensor:
    return dasp.compressor(x[:, None], RATE, *values)[:, 0]


def dasp_distortion(x: Tensor, values: list[Tensor]) -> Tensor:
    return dasp.distortion(x[:, None], RATE, values[0])[:, 0]


def dasp_reverb(x: Tensor, values: list[Tensor]) -> Tensor:
    bands = [values[0].new_full((len(x),), 0.5).requires_grad_() for _ in range(24)]
    return dasp.noise_shaped_reverberation(x[:, None], RATE, *bands, values[-1])[:, 0]


PEERS: dict[str, dict[str, Effect]] = {
    "equaliser": {"dasp-pytorch": dasp_equaliser, "torchaudio": equaliser},
    "compressor": {"dasp-pytorch": dasp_compressor},
    "distortion": {"dasp-pytorch": dasp_distortion},
    "reverb": {"dasp-pytorch": dasp_reverb},
}
REFERENCES: dict[str, Effect] = {
    "equaliser": equaliser,
    "compressor": compressor,
    "distortion": distortion,
    "reverb": reverb_reference,
}


def sounds(batch: int, frames: int, dtype: torch.dtype) -> Tensor:
    cuts = programme(4.0).T.reshape(-1)
    return torch.tensor(np.stack([cuts[20011 * i : 20011 * i + frames] for i in range(batch)]), dtype=dtype)


def parameters(name: str, batch: int, dtype: torch.dtype) -> list[Tensor]:
    """Give every sound of the batch its own values, a little apart."""
    spread = torch.linspace(0.97, 1.03, batch, dtype=torch.float64)
    return [(v * spread).to(torch.float32).to(dtype).requires_grad_() for v in EFFECTS[name].values()]


def run(effect: Effect, x: Tensor, values: list[Tensor], weight: Tensor) -> list[Tensor]:
    """Give output and gradients: of the input, then of every parameter (None where it has no part)."""
    x = x.clone().requires_grad_()
    y = effect(x, values)
    return [y, *torch.autograd.grad((y * weight).sum(), [x, *values], allow_unused=True)]


def timed(name: str) -> dict[str, np.ndarray]:
    x, values = sounds(BATCH, FRAMES, torch.float32), parameters(name, BATCH, torch.float32)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    everybody = {"ours": ours(name), **PEERS[name]}
    contenders = {k: lambda f=f: run(f, x, values, weight) for k, f in everybody.items()}
    rounds = FEW.get(name, ROUNDS)
    take_turns(contenders, min(2, rounds // 2))  # compilers and caches
    return take_turns(contenders, rounds)


def in_db(found: list[Tensor], wanted: list[Tensor]) -> tuple[float, float, float]:
    """Give the errors of output, input gradient and the worst parameter gradient."""

    def error(f: Tensor, w: Tensor) -> float:
        worst = float((f.detach().double() - w.detach()).abs().max() / w.detach().square().mean().sqrt())
        return 20 * math.log10(max(worst, 1e-20))

    params = [error(f, w) for f, w in zip(found[2:], wanted[2:], strict=True) if f is not None and w.norm() > 0]
    return error(found[0], wanted[0]), error(found[1], wanted[1]), max(params)


def errors(name: str, effect: Effect, reference: Effect) -> tuple[float, float, float]:
    """Compare an effect that hears float32 with a reference in float64, on the same numbers."""
    frames = LOOP if name == "compressor" else FRAMES
    found, wanted = [], []
    for dtype, function, into in ((torch.float32, effect, found), (torch.float64, reference, wanted)):
        x, values = sounds(2, frames, torch.float32).to(dtype), parameters(name, 2, dtype)
        weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        into += run(function, x, values, weight)
    return in_db(found, wanted)


def main() -> None:
    rows, met, details, exact = [], [], [], []
    for name in PEERS:
        took = timed(name)
        cells = [f"{1e3 * median_of(took['ours'])[0]:.0f}"]
        for peer in ("dasp-pytorch", "torchaudio"):
            has = peer in took
            cells += [f"{1e3 * median_of(took[peer])[0]:.0f}", ratio(took[peer], took["ours"], 1)] if has else ["", ""]
        rows.append([name, *cells])
        if name in ("equaliser", "compressor"):
            met.append(median_of(took["dasp-pytorch"] / took["ours"])[0] >= BAR_TIMES)
        mine = errors(name, ours(name), REFERENCES[name])
        exact.append(max(mine) < BAR_DB)
        details.append([f"{name}: ours", *(f"{v:.0f}" for v in mine)])
        if name in ("equaliser", "compressor"):
            peer = PEERS[name]["dasp-pytorch"]
            for word, wanted in (("meant", REFERENCES[name]), ("built", peer)):
                details.append([f"{name}: dasp-pytorch, as {word}", *(f"{v:.0f}" for v in errors(name, peer, wanted))])
        if name == "equaliser":
            details.append([f"{name}: torchaudio", *(f"{v:.0f}" for v in errors(name, equaliser, equaliser))])
    head = ["effect", "afx-live", "dasp-pytorch", "times", "torchaudio", "times"]
    told = f"Bar, {BAR_TIMES:g} times faster than dasp-pytorch for equaliser and compressor: "
    told_db = f"Bar, errors of ours under {BAR_DB:g} dB: "
    words = machine("torch", "torchaudio", "dasp-pytorch", "numba")
    print(
        TEXT.format(
            batch=BATCH,
            frames=FRAMES,
            rounds=ROUNDS,
            few=FEW["reverb"],
            threads=torch.get_num_threads(),
            loop=LOOP,
            machine=words,
            speed=table(head, rows),
            verdict=told + ("met." if all(met) else "missed."),
            errors=table(["", "output", "gradient, input", "gradient, parameters"], details),
            verdict_db=told_db + ("met." if all(exact) else "missed."),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
