"""A chain of effects to call from Python: whole sounds, streams in blocks, tensors with gradients."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dsp.array_math import is_tensor
from ..dsp.sound import check_sample_rate, frames_of
from ..effects import load
from .player import ChainPlayer
from .processor import Processor, as_number
from .settings import GAIN, GAIN_NAMES, ChainSettings, check_order


class Chain:
    """Effects in playing order, between an input and an output gain in dB.

    >>> from afx_live.chain import Chain, Compressor, Distortion
    >>> board = Chain([Compressor(threshold_db=-30, ratio=4), Distortion(drive_db=12)])
    >>> board(np.zeros(480), 48000).shape
    (480,)

    An effect may stand in it once. Its values, and the gains, are numbers; where only tensors are played, they
    may be tensors, see `Effect.__call__`. Raises TypeError for what is no `Processor`, ValueError for an effect
    twice, more than 8 effects, or a number out of range.
    """

    def __init__(
        self, effects: Iterable[Processor] = (), *, input_gain_db: Any = 0.0, output_gain_db: Any = 0.0
    ) -> None:
        self.effects = tuple(effects)
        for each in self.effects:
            if not isinstance(each, Processor):
                raise TypeError(f"a chain holds effects such as Compressor(ratio=4), not {each!r}")
        check_order([each.effect_name for each in self.effects])
        self.input_gain_db, self.output_gain_db = input_gain_db, output_gain_db
        for name in GAIN_NAMES:
            self._gain(name)
        self._stream: tuple[ChainPlayer, float, int, ChainSettings] | None = None

    @classmethod
    def from_settings(cls, settings: ChainSettings) -> "Chain":
        """Make a chain of settings: of a preset's, or of those that a match found."""
        effects = map(Processor.of, settings.effects)
        return cls(effects, input_gain_db=settings.input_gain_db, output_gain_db=settings.output_gain_db)

    @property
    def settings(self) -> ChainSettings:
        """All that the chain is set to, as numbers; TypeError if a value is not one number."""
        gains = {name: self._gain(name) for name in GAIN_NAMES}
        for name, number in gains.items():
            if number is None:
                raise TypeError(f"{name} holds several values; a stream or preset needs one number")
        return ChainSettings(tuple(each.settings for each in self.effects), **gains)  # pyright: ignore[reportArgumentType]

    def _gain(self, name: str) -> float | None:
        """Give a gain as one number, in its range; None if it holds several."""
        param = replace(GAIN, name=name)
        number = as_number(param, getattr(self, name))
        return None if number is None else param.check(number)

    @property
    def latency(self) -> int:
        """Whole frames by which the sound comes late."""
        return sum(each.effect.latency for each in self.effects if each.enabled)

    def __call__(self, x: Any, sample_rate: float, reset: bool = True) -> Any:
        """Play a sound; returns its shape and dtype, `latency` frames late.

        x is a numpy array (frames,) or (frames, channels), or a torch tensor (batch, channels, frames), of
        float32 or float64, full scale 1, one or two channels. A tensor's result is differentiable, exactly
        and once, in x and in every value that is a tensor.

        reset: whether x is a sound of its own, from silence, after which the chain is silent. With False, x goes
        on where the block before it ended; an array in blocks of any size gives the samples of the whole, bit for
        bit. Values that were changed in between move to the new ones in 20 ms.

        Raises TypeError for a sound that is not of floats, ValueError for another shape, NaN or Inf, a value out of
        range, a tensor with reset=False, or a block at another sample rate or of other channels than the last.
        """
        if is_tensor(x):
            if not reset:
                raise ValueError("a tensor is always a sound of its own; reset=False goes on with blocks of numpy")
            return self._play_tensor(x, sample_rate)
        sound, rate = frames_of(x), check_sample_rate(sample_rate)
        player = ChainPlayer(self.settings, rate, sound.shape[1]) if reset else self._continued(sound, rate)
        if reset:
            self.reset()
        return player.play(sound).reshape(x.shape).astype(x.dtype, copy=False)

    def reset(self) -> None:
        """Begin the next block from silence."""
        self._stream = None

    def _continued(self, sound: NDArray[np.float64], rate: float) -> ChainPlayer:
        """Give the player of the stream; begin one if none is under way."""
        settings, channels = self.settings, sound.shape[1]
        if self._stream is None:
            self._stream = ChainPlayer(settings, rate, channels), rate, channels, settings
        player, *before, old = self._stream
        if before != [rate, channels]:
            raise ValueError(
                f"the stream has {before[0]:g} Hz and {before[1]} channels, the block {rate:g} Hz and {channels}; "
                "reset() begins another"
            )
        if settings != old:
            player.ramp(settings)
            self._stream = player, rate, channels, settings
        return player

    def _play_tensor(self, x: Any, sample_rate: float) -> Any:
        gain = load("gain")
        x = gain(x, sample_rate, gain_db=self.input_gain_db)
        for each in self.effects:
            x = each(x, sample_rate)
        return gain(x, sample_rate, gain_db=self.output_gain_db)

    def __len__(self) -> int:
        return len(self.effects)

    def __iter__(self) -> Iterator[Processor]:
        return iter(self.effects)

    def __getitem__(self, place: int | str) -> Processor:
        """Give an effect by its place or its name; KeyError if there is none of that name."""
        if isinstance(place, int):
            return self.effects[place]
        for each in self.effects:
            if each.effect_name == place:
                return each
        raise KeyError(f"{place} is not in the chain {' → '.join(each.effect_name for each in self.effects)}")

    def __repr__(self) -> str:
        gains = [f"{name}={getattr(self, name)!r}" for name in GAIN_NAMES if self._gain(name) != 0.0]
        return f"Chain({', '.join([repr(list(self.effects)), *gains])})"
