"""How systems play: chains constrained to some effects, levels solved, loudness set to the reference's."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from ...chain import GAIN, ChainSettings, play_clip
from ...dsp.loudness import integrated_loudness
from ...matching import solve_level
from ..metrics.audio import MATCHED_LUFS
from ..pairs.condition import Audio, Pair, Result


def constrained(settings: ChainSettings, allowed: Collection[str]) -> ChainSettings:
    """Disable the effects that are not allowed."""
    return replace(
        settings, effects=tuple(replace(s, enabled=s.enabled and s.effect in allowed) for s in settings.effects)
    )


def level_for(settings: ChainSettings, x: Audio, reference: Audio, sample_rate: float) -> ChainSettings:
    """Solve both gains on x: the chain works at -23 LUFS and its output is as loud as the reference."""
    target = min(integrated_loudness(reference, sample_rate), 0.0)
    return solve_level(settings, x, sample_rate, target, MATCHED_LUFS)


def played(pair: Pair, settings: ChainSettings) -> Result:
    """Play settings with both levels solved, as live does."""
    settings = level_for(settings, pair.input, pair.reference, pair.sample_rate)
    return Result(play_clip(settings, pair.input, pair.sample_rate), settings)


def at_reference_loudness(pair: Pair, audio: Audio, settings: ChainSettings | None = None) -> Result:
    """Bring audio to the reference's loudness, within the gain's range; settings get the same gain."""
    step = integrated_loudness(pair.reference, pair.sample_rate) - integrated_loudness(audio, pair.sample_rate)
    if not np.isfinite(step):
        return Result(audio, settings)
    step = GAIN.clip(step)
    if settings is not None:
        gain_db = GAIN.clip(settings.output_gain_db + step)
        step, settings = gain_db - settings.output_gain_db, replace(settings, output_gain_db=gain_db)
    return Result(audio * 10 ** (step / 20), settings)
