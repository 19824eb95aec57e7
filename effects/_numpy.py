"""Call an effect on an array; see `Effect.__call__`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dsp.compiler import MAX_COEFS
from ..dsp.sound import check_sample_rate, frames_of
from ._blocks import design_rows, jacobian_rows, play_sound, ticks


def call(effect: Any, x: NDArray[Any], sample_rate: float, values: Mapping[str, Any]) -> NDArray[Any]:
    """Play a sound (frames,) or (frames, channels) from silence; returns its shape and dtype."""
    sound, rate = frames_of(x), check_sample_rate(sample_rate)
    columns = [_column(p, values.get(p.name, p.default), len(sound)) for p in effect.params]
    rows = max(map(len, columns), default=1)
    table = np.ascontiguousarray(np.stack([np.broadcast_to(c, rows) for c in columns], 1))
    state, coef = np.zeros(effect.state_for(rate, sound.shape[1])), np.zeros((rows, MAX_COEFS))
    if len(sound):
        scratch = np.zeros(MAX_COEFS), np.empty((0, 0))
        play_sound(effect.design_c.address, effect.kernel_c.address, sound, table, rate, coef, state, *scratch)
    return sound.reshape(x.shape).astype(x.dtype, copy=False)


def _column(param: Any, value: Any, frames: int) -> NDArray[np.float64]:
    """Give one parameter's values: one, or one at every tick."""
    try:
        column = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"{param.name}: {value!r} is neither a number nor an array of numbers") from None
    if column.shape not in ((1,), (ticks(frames),)):
        raise ValueError(
            f"{param.name} has shape {np.shape(value)}; it may be a number or, to move over {frames} frames, "
            f"({ticks(frames)},): one value every 64 frames"
        )
    for end in (column.min(), column.max()):
        param.check(end)
    return column


def coefficients(effect: Any, values: Any, sample_rate: float) -> NDArray[np.float64]:
    """Give coefficients (..., MAX_COEFS) of values (..., params)."""
    table = np.ascontiguousarray(values, np.float64)
    coef = np.zeros((*table.shape[:-1], MAX_COEFS))
    rows = table.reshape(-1, table.shape[-1]), float(sample_rate), coef.reshape(-1, MAX_COEFS)
    design_rows(effect.design_c.address, *rows)
    return coef


def jacobian(effect: Any, values: Any, sample_rate: float) -> NDArray[np.float64]:
    """Give the derivatives (..., params, MAX_COEFS) of the coefficients of values (..., params)."""
    table = np.ascontiguousarray(values, np.float64)
    jac = np.zeros((*table.shape, MAX_COEFS))
    flat = table.reshape(-1, table.shape[-1])
    jacobian_rows(effect.jacobian_c.address, flat, float(sample_rate), jac.reshape(*flat.shape, MAX_COEFS))
    return jac
