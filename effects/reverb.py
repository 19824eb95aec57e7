"""Reverb: early taps, then a feedback delay network of eight lines.

The wet path is low cut -> pre-delay -> taps + lines, and has about unit energy gain for white noise
at any setting, so that `mix` means what it says. A mono signal is a stereo one whose channels agree,
of which the left output is heard.
"""

import numpy as np

from ..dsp import biquad, delay_line
from ..dsp import feedback_delay_network as network
from ..dsp.compiler import jit
from ..dsp.layout import layout
from ._effect import Effect, Param, log_uniform

PREDELAY_S = 0.1

# Early reflections: five for each ear, before the first line answers. Two come from the other side.
LEFT_S = np.array([2.3, 6.1, 10.9, 15.1, 19.3]) * 1e-3
RIGHT_S = np.array([3.7, 7.3, 12.1, 16.7, 20.3]) * 1e-3
CROSS = np.array([0, 1, 0, 1, 0])
TAPS = len(CROSS)
TAP = np.array([1.0, -0.9, -0.8, 0.7, 0.6])
TAP /= np.sqrt(np.sum(TAP**2))

COEF = layout(rate=1, predelay=1, low_cut=3, dry=1, mid=1, side=1, early=1, late=1, network=network.COEF.size)
STATE = layout(predelay_at=1, taps_at=1, low_cut=4, network=network.STATE.size)
"""Places in the rings, and filters. The rings follow: each channel's pre-delay, each channel's taps, the network's."""
ROW = layout(cut=2, sent=2, slope=2, early=2, late=2, network=network.ROW.size)
"""Rows of a tile: after the low cut, after the pre-delay, its slope, early and late outputs, the network's."""
GRAD = layout(early=2, late=2, sent=2)
"""The adjoint's rows: gradients of early and late outputs, and of what the network was sent."""
TILE = 64
"""Frames worked on at a time: no line is shorter. It changes no sample."""
NOTE = layout(early=2, late=2, network=network.NOTE.size)
"""A frame's tape: early and late outputs, the network's part; then each channel's."""
CHANNEL_NOTE = layout(sound=1, cut=1, slope=1)


@jit
def _ring_sizes(sample_rate):
    """Frames in the rings of the pre-delay and of the taps: the longest way back, and a slice written ahead."""
    return int(PREDELAY_S * sample_rate) + 2 + TILE, int(RIGHT_S[-1] * sample_rate) + TILE


def design(sample_rate, rt60_s, hf_ratio, predelay_ms, low_cut_hz, width, mix):
    lengths, gains, poles, energy = network.design(sample_rate, rt60_s, hf_ratio)
    cut = biquad.high_pass(sample_rate, low_cut_hz, np.sqrt(0.5))
    # The taps have the energy that the decay has before the first line answers, the lines the rest.
    rest = np.exp(-6.0 * np.log(10.0) * lengths[0] / (sample_rate * rt60_s))
    mid = 0.5 * mix * np.sqrt(2.0 / (1.0 + width * width))  # as loud at any width
    return (
        type(mix)(sample_rate),
        predelay_ms * (1e-3 * sample_rate),
        cut[0],
        cut[3],
        cut[4],
        1.0 - mix,
        mid,
        mid * width,
        np.sqrt(1.0 - rest),
        np.sqrt(rest / energy),
    ) + (lengths + gains + poles)


@jit
def _low_cut(x, state, t, coef, step, rows):
    """Filter both channels; they go together because each waits for its own last frame."""
    right = x.shape[1] - 1
    left_row, right_row = rows[ROW.cut], rows[ROW.cut + right]
    b, a1, a2 = coef[COEF.low_cut], coef[COEF.low_cut + 1], coef[COEF.low_cut + 2]
    d, d1, d2 = step[COEF.low_cut], step[COEF.low_cut + 1], step[COEF.low_cut + 2]
    s1, s2, r1, r2 = (
        state[STATE.low_cut],
        state[STATE.low_cut + 1],
        state[STATE.low_cut + 2 * right],
        state[STATE.low_cut + 2 * right + 1],
    )
    for n in range(x.shape[0]):
        at = t + n
        p, q = (b + at * d) * x[n, 0], (b + at * d) * x[n, right]
        k1, k2 = a1 + at * d1, a2 + at * d2
        v, w = p + s1, q + r1
        s1, r1 = (s2 - 2.0 * p) - k1 * v, (r2 - 2.0 * q) - k1 * w
        s2, r2 = p - k2 * v, q - k2 * w
        left_row[n], right_row[n] = v, w
    state[STATE.low_cut + 2 * right], state[STATE.low_cut + 2 * right + 1] = r1, r2
    state[STATE.low_cut], state[STATE.low_cut + 1] = s1, s2


@jit
def _delay(ring, now, count, t, coef, step, row, slope):
    """Read the pre-delay's ring between two frames: row[n] is what enters the taps and the lines."""
    size = ring.shape[0]
    if step[COEF.predelay] == 0.0:
        whole = min(max(int(coef[COEF.predelay]), 0), size - TILE - 1)  # memory is safe from any number, nan too
        delay_line.read(ring, delay_line.back(now, whole, size), row, count)
        delay_line.read(ring, delay_line.back(now, whole + 1, size), slope, count)
        for n in range(count):
            slope[n] -= row[n]
            row[n] += (coef[COEF.predelay] - whole) * slope[n]
        return
    for n in range(count):
        delay = coef[COEF.predelay] + (t + n) * step[COEF.predelay]
        whole = min(max(int(delay), 0), size - TILE - 1)
        at = now + n if now + n < size else now + n - size
        u = ring[delay_line.back(at, whole, size)]
        slope[n] = ring[delay_line.back(at, whole + 1, size)] - u
        row[n] = u + (delay - whole) * slope[n]


@jit
def _send(x, state, t, coef, step, rows):
    """Take a slice through low cut and pre-delay into the rings of the taps, and hear those."""
    count, channels = x.shape
    right = channels - 1
    rate = coef[COEF.rate]
    predelay_size, taps_size = _ring_sizes(rate)
    taps_at = _taps_at(channels, rate)
    now, tap = int(state[STATE.predelay_at]), int(state[STATE.taps_at])
    _low_cut(x, state, t, coef, step, rows)
    for c in range(channels):
        ring = state[STATE.size + predelay_size * c : STATE.size + predelay_size * (c + 1)]
        delay_line.write(ring, now, rows[ROW.cut + c], count)
        _delay(ring, now, count, t, coef, step, rows[ROW.sent + c], rows[ROW.slope + c])
        delay_line.write(state[taps_at + taps_size * c : taps_at + taps_size * (c + 1)], tap, rows[ROW.sent + c], count)
    rows[ROW.early : ROW.early + 2] = 0.0
    for k in range(TAPS):
        same = state[taps_at + taps_size * right * CROSS[k] : taps_at + taps_size * (right * CROSS[k] + 1)]
        delay_line.add_tap(same, delay_line.back(tap, int(LEFT_S[k] * rate), taps_size), TAP[k], rows[ROW.early], count)
        same = state[taps_at + taps_size * right * (1 - CROSS[k]) : taps_at + taps_size * (right * (1 - CROSS[k]) + 1)]
        delay_line.add_tap(
            same, delay_line.back(tap, int(RIGHT_S[k] * rate), taps_size), TAP[k], rows[ROW.early + 1], count
        )
    state[STATE.predelay_at] = delay_line.ahead(now, count, predelay_size)
    state[STATE.taps_at] = delay_line.ahead(tap, count, taps_size)


@jit
def _record(x, rows, tape):
    """Note for the adjoint what enters, and what is heard, before the mix."""
    count, channels = x.shape
    for n in range(count):
        for c in range(2):
            tape[n, NOTE.early + c], tape[n, NOTE.late + c] = rows[ROW.early + c, n], rows[ROW.late + c, n]
        for c in range(channels):
            at = NOTE.size + CHANNEL_NOTE.size * c
            tape[n, at + CHANNEL_NOTE.sound], tape[n, at + CHANNEL_NOTE.cut] = x[n, c], rows[ROW.cut + c, n]
            tape[n, at + CHANNEL_NOTE.slope] = rows[ROW.slope + c, n]


@jit
def _at(coef, step, i, t):
    """Evaluate a coefficient at a frame."""
    return coef[i] + t * step[i]


@jit
def _mix(x, t, coef, step, rows):
    count, channels = x.shape
    right = channels - 1
    early_left, early_right = rows[ROW.early], rows[ROW.early + 1]
    late_left, late_right = rows[ROW.late], rows[ROW.late + 1]
    for n in range(count):
        at = t + n
        early, late = _at(coef, step, COEF.early, at), _at(coef, step, COEF.late, at)
        left, other = early * early_left[n] + late * late_left[n], early * early_right[n] + late * late_right[n]
        dry = _at(coef, step, COEF.dry, at)
        mid, side = _at(coef, step, COEF.mid, at) * (left + other), _at(coef, step, COEF.side, at) * (left - other)
        x[n, 0] = dry * x[n, 0] + (mid + side)
        if right:
            x[n, 1] = dry * x[n, 1] + (mid - side)


@jit
def _taps_at(channels, rate):
    """Find the rings of the taps in the state."""
    return STATE.size + channels * _ring_sizes(rate)[0]


@jit
def _lines_at(channels, rate):
    """Find the network's memory in the state."""
    return _taps_at(channels, rate) + channels * _ring_sizes(rate)[1]


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    piece = min(TILE, int(coef[COEF.network + network.COEF.length]))
    rows = state[state.shape[0] - ROW.size * TILE :].reshape((ROW.size, TILE))
    lines = state[_lines_at(channels, coef[COEF.rate]) :]
    own, moving = coef[COEF.network :], step[COEF.network :]
    for first in range(0, frames, piece):
        last = min(first + piece, frames)
        count, block, notes = last - first, x[first:last], tape[first:last]
        _send(block, state, start + first, coef, step, rows)
        network.run(
            rows[ROW.sent, :count],
            rows[ROW.sent + channels - 1, :count],
            rows[ROW.late],
            rows[ROW.late + 1],
            state[STATE.network :],
            lines,
            start + first,
            own,
            moving,
            rows[ROW.network :],
            notes[:, NOTE.network :],
        )
        if tape.shape[0] > 0:
            _record(block, rows, notes)
        _mix(block, start + first, coef, step, rows)


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    frames, channels = g.shape
    taps_at, lines_at = _taps_at(channels, coef[COEF.rate]), _lines_at(channels, coef[COEF.rate])
    predelay, taps = (
        _side_by_side(state[STATE.size : taps_at], channels),
        _side_by_side(state[taps_at:lines_at], channels),
    )
    rows = state[state.shape[0] - ROW.size * TILE :].reshape((ROW.size, TILE))
    own, moving = coef[COEF.network :], step[COEF.network :]
    g_own, g_moving = gcoef[COEF.network :], gstep[COEF.network :]
    for first in range((frames - 1) // TILE * TILE, -1, -TILE):
        count, t = min(TILE, frames - first), start + first
        block, notes = g[first : first + count], tape[first : first + count]
        _mix_adjoint(block, t, coef, step, notes, rows, gcoef, gstep)
        network.run_adjoint(
            rows[GRAD.late, :count],
            rows[GRAD.late + 1],
            rows[GRAD.sent],
            rows[GRAD.sent + 1],
            state[STATE.network :],
            state[lines_at:],
            t,
            own,
            moving,
            notes[:, NOTE.network :],
            g_own,
            g_moving,
        )
        _send_adjoint(block, state, predelay, taps, t, coef, step, notes, rows, gcoef, gstep)


@jit
def _side_by_side(rings, channels):
    """Read rings as frames of channels. The transpose of reading a ring at a distance is adding to it there."""
    return rings.reshape((rings.shape[0] // channels, channels))


@jit
def _add(gcoef, gstep, i, t, value):
    gcoef[i] += value
    gstep[i] += t * value


@jit
def _mix_adjoint(g, start, coef, step, tape, rows, gcoef, gstep):
    """Turn gradients of a tile's channels into those of early and late outputs."""
    frames, right = g.shape[0], g.shape[1] - 1
    for n in range(frames - 1, -1, -1):
        t = start + n
        early, late = _at(coef, step, COEF.early, t), _at(coef, step, COEF.late, t)
        early_left, early_right = tape[n, NOTE.early], tape[n, NOTE.early + 1]
        late_left, late_right = tape[n, NOTE.late], tape[n, NOTE.late + 1]
        left, other = early * early_left + late * late_left, early * early_right + late * late_right
        mid = g[n, 0] + g[n, 1] if right else g[n, 0]
        side = g[n, 0] - g[n, 1] if right else g[n, 0]
        _add(gcoef, gstep, COEF.mid, t, mid * (left + other))
        _add(gcoef, gstep, COEF.side, t, side * (left - other))
        mid *= _at(coef, step, COEF.mid, t)
        side *= _at(coef, step, COEF.side, t)
        left, other = mid + side, mid - side
        _add(gcoef, gstep, COEF.early, t, left * early_left + other * early_right)
        _add(gcoef, gstep, COEF.late, t, left * late_left + other * late_right)
        rows[GRAD.early, n], rows[GRAD.early + 1, n] = early * left, early * other
        rows[GRAD.late, n], rows[GRAD.late + 1, n] = late * left, late * other


@jit
def _send_adjoint(g, state, predelay, taps, start, coef, step, tape, rows, gcoef, gstep):
    """Run the transpose of taps, pre-delay, low cut and dry path for a tile."""
    frames, channels = g.shape
    right, size, taps_size = channels - 1, predelay.shape[0], taps.shape[0]
    now, tap = int(state[STATE.predelay_at]), int(state[STATE.taps_at])
    for n in range(frames - 1, -1, -1):
        t = start + n
        taps[tap, 0] += rows[GRAD.sent, n]
        taps[tap, right] += rows[GRAD.sent + 1, n]
        for k in range(TAPS):
            at = delay_line.ahead(tap, int(LEFT_S[k] * coef[COEF.rate]), taps_size)
            taps[at, right * CROSS[k]] += TAP[k] * rows[GRAD.early, n]
            at = delay_line.ahead(tap, int(RIGHT_S[k] * coef[COEF.rate]), taps_size)
            taps[at, right * (1 - CROSS[k])] += TAP[k] * rows[GRAD.early + 1, n]
        b, a1 = _at(coef, step, COEF.low_cut, t), _at(coef, step, COEF.low_cut + 1, t)
        a2 = _at(coef, step, COEF.low_cut + 2, t)
        dry, delay = _at(coef, step, COEF.dry, t), _at(coef, step, COEF.predelay, t)
        whole = min(max(int(delay), 0), size - TILE - 1)
        near = delay_line.ahead(now, whole, size)
        far = delay_line.ahead(near, 1, size)
        for c in range(channels):
            at, filters = NOTE.size + CHANNEL_NOTE.size * c, STATE.low_cut + 2 * c
            x, v = tape[n, at + CHANNEL_NOTE.sound], tape[n, at + CHANNEL_NOTE.cut]
            u = taps[tap, c]
            taps[tap, c] = 0.0
            _add(gcoef, gstep, COEF.predelay, t, u * tape[n, at + CHANNEL_NOTE.slope])
            predelay[near, c] += (1.0 - (delay - whole)) * u
            predelay[far, c] += (delay - whole) * u
            g1, g2 = state[filters], state[filters + 1]
            w = predelay[now, c] - a1 * g1 - a2 * g2
            predelay[now, c] = 0.0
            d_x = w - 2.0 * g1 + g2
            _add(gcoef, gstep, COEF.low_cut, t, d_x * x)
            _add(gcoef, gstep, COEF.low_cut + 1, t, -g1 * v)
            _add(gcoef, gstep, COEF.low_cut + 2, t, -g2 * v)
            _add(gcoef, gstep, COEF.dry, t, g[n, c] * x)
            state[filters], state[filters + 1] = w, g1
            g[n, c] = dry * g[n, c] + b * d_x
        now, tap = delay_line.ahead(now, 1, size), delay_line.ahead(tap, 1, taps_size)
    state[STATE.predelay_at], state[STATE.taps_at] = now, tap


def state_size(sample_rate, channels):
    predelay, taps = _ring_sizes(sample_rate)
    return STATE.size + (predelay + taps) * channels + network.memory_size(sample_rate) + ROW.size * TILE


def tail(rt60_s, hf_ratio, predelay_ms, low_cut_hz, width, mix):
    return predelay_ms * 1e-3 + RIGHT_S[-1] + 2.0 * rt60_s if mix > 0.0 else 0.0


def summary(values):
    return f"RT60 {values['rt60_s']:.2f} s, mix {values['mix']:.0%}, pre-delay {values['predelay_ms']:.0f} ms"


def prior(rng):
    return {
        "rt60_s": log_uniform(rng, 0.2, 4.0),
        "hf_ratio": rng.uniform(0.2, 0.9),
        "predelay_ms": rng.uniform(0.0, 60.0),
        "low_cut_hz": log_uniform(rng, 20.0, 400.0),
        "mix": rng.uniform(0.05, 0.6),
    }


effect = Effect(
    params=(
        Param("rt60_s", 0.15, 6.0, 1.2, "decay time of the lows (60 dB)", "log"),
        Param("hf_ratio", 0.2, 1.0, 0.5, "decay time at 16 kHz, as a fraction of that of the lows"),
        Param("predelay_ms", 0.0, 100.0, 10.0, "silence before the first reflections"),
        Param("low_cut_hz", 20.0, 500.0, 80.0, "corner of the wet path's high-pass", "log"),
        Param("width", 0.0, 1.0, 1.0, "0 is a mono wet signal, 1 full stereo"),
        Param("mix", 0.0, 1.0, 0.25, "share of the wet signal", neutral=0.0),
    ),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=state_size,
    tape_size=lambda channels: NOTE.size + CHANNEL_NOTE.size * channels,
    linear=True,
    summary=summary,
    prior=prior,
    tail=tail,
    max_rate=network.MAX_RATE,
)
