"""The safety stage, compiled: always on, at both ends of the chain, and beyond the reach of any remote control.

At the input, samples that are not numbers become silence and absurd ones are clipped. At the output: a test for NaN,
fades for mute, bypass and the start, a look-ahead limiter, and a hard clamp at the same ceiling.

The functions work on `state`, the engine's record (`engine.ENGINE_STATE`).
"""

from ...dsp.compiler import jit
from ...dsp.sound import INPUT_CLIP
from ...effects import CONTROL_BLOCK

CEILING = 10 ** (-1.0 / 20)
"""Nothing leaves the engine above -1 dBFS."""
LOOKAHEAD = CONTROL_BLOCK - 1
"""Frames by which the limiter delays the sound: 1.3 ms at 48 kHz, the engine's only delay besides the host's block."""
RELEASE_S = 0.1
FADE_S = 0.005
"""Mute, un-mute, bypass and fade-out."""
FADE_IN_S = 0.5


@jit
def read_input(block, left, right, x):
    """Copy the two chosen channels of a block to x (frames, 2): NaN becomes 0, the rest is clipped at INPUT_CLIP."""
    for n in range(block.shape[0]):
        v, w = float(block[n, left]), float(block[n, right])
        x[n, 0] = min(max(v, -INPUT_CLIP), INPUT_CLIP) if v == v else 0.0
        x[n, 1] = min(max(w, -INPUT_CLIP), INPUT_CLIP) if w == w else 0.0


@jit(fastmath={"reassoc"})  # zeros may be added in any order, and in lanes
def is_finite(x, count):
    """Tell whether the first `count` frames of x (frames, 2) hold neither NaN nor infinity."""
    total = 0.0
    for n in range(count):
        total += 0.0 * x[n, 0] + 0.0 * x[n, 1]
    return total == 0.0  # NaN, if one of them is not finite


@jit
def _step_towards(now, target, step):
    return min(now + step, target) if now < target else max(now - step, target)


@jit
def fade(state, command, count, step, rise):
    """Bypass, mute, and fade in; `step` and `rise` are changes of gain per frame."""
    if (
        state.bypass == command.bypass
        and state.bypass == 0.0
        and state.dry_gain == command.dry_gain
        and state.mute_gain == 1.0
        and command.muted == 0.0
        and state.fade_in_gain == 1.0
    ):
        return  # nearly always
    for n in range(count):
        state.bypass = _step_towards(state.bypass, command.bypass, step)
        state.mute_gain = _step_towards(state.mute_gain, 1.0 - command.muted, step)
        state.dry_gain = _step_towards(state.dry_gain, command.dry_gain, step)
        state.fade_in_gain = min(state.fade_in_gain + rise, 1.0)
        for c in range(2):
            v = state.wet[n, c]
            if state.bypass > 0.0:
                v += state.bypass * (state.dry_gain * state.dry[n, c] - v)
            if state.mute_gain < 1.0 or state.fade_in_gain < 1.0:
                v *= state.mute_gain * state.fade_in_gain
            state.wet[n, c] = v


@jit
def count_over(x, count):
    """Count the samples above the ceiling, which the limiter has to turn down."""
    found = 0
    for n in range(count):
        for c in range(2):
            if abs(x[n, c]) > CEILING:
                found += 1
    return found


@jit
def _delay(state, x, count, first):
    """Do what `limit` does when it has long been idle, and still has nothing to do."""
    state.idle_frames += count
    state.envelope_sum = CONTROL_BLOCK
    for n in range(count):
        at, oldest = first + n, (first + n + 1) % CONTROL_BLOCK
        state.required_gain[at] = state.envelopes[at] = 1.0
        left, right = state.delay_line[oldest, 0], state.delay_line[oldest, 1]
        state.delay_line[at, 0], state.delay_line[at, 1] = x[n, 0], x[n, 1]
        x[n, 0] = min(max(left, -CEILING), CEILING)
        x[n, 1] = min(max(right, -CEILING), CEILING)


@jit
def limit(state, x, count, over, clock, release):
    """Bring x (frames, 2), of which `over` samples are above it, under the ceiling, LOOKAHEAD frames later.

    In place; no block crosses a control tick. Returns the lowest gain.

    The gain that a peak requires is held for 64 frames (sliding minimum), released exponentially, and averaged over
    64 frames, so it arrives smoothly just when the delayed peak does. Sound below the ceiling passes with a gain of
    exactly 1.
    """
    if over == 0 and state.idle_frames >= 2 * CONTROL_BLOCK:
        _delay(state, x, count, clock % CONTROL_BLOCK)
        return 1.0
    lowest = 1.0
    for n in range(count):
        at = (clock + n) % CONTROL_BLOCK
        peak = max(abs(x[n, 0]), abs(x[n, 1]))
        required = CEILING / peak if peak > CEILING else 1.0
        state.required_gain[at] = required
        state.idle_frames = 0 if required < 1.0 or state.envelope < 1.0 else state.idle_frames + 1
        gain = 1.0
        if state.idle_frames < 2 * CONTROL_BLOCK:
            hold = 1.0
            for k in range(CONTROL_BLOCK):
                hold = min(hold, state.required_gain[k])
            state.envelope = min(hold, state.envelope + release * (1.0 - state.envelope))
            if state.envelope > 1.0 - 1e-6:
                state.envelope = min(hold, 1.0)
            state.envelope_sum += state.envelope - state.envelopes[at]
            state.envelopes[at] = state.envelope
            gain = min(state.envelope_sum / CONTROL_BLOCK, 1.0)
        else:
            state.envelope_sum = CONTROL_BLOCK
            state.envelopes[at] = 1.0
        lowest = min(lowest, gain)
        oldest = (at + 1) % CONTROL_BLOCK
        left, right = state.delay_line[oldest, 0], state.delay_line[oldest, 1]
        state.delay_line[at, 0], state.delay_line[at, 1] = x[n, 0], x[n, 1]
        x[n, 0] = min(max(left * gain, -CEILING), CEILING)
        x[n, 1] = min(max(right * gain, -CEILING), CEILING)
    return lowest
