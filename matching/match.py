"""Matching: an input and a reference → settings of a chain whose level is solved.

`match` takes arrays; `match_clip` takes files that were read; `match_features` is what both do, and what a live
session does in parts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..chain import Chain, ChainPlayer, ChainSettings, play_clip
from ..dsp.dc_blocker import DcBlocker
from ..files.streams import shown
from ..presets import SHIPPED_MODEL, Preset, choices_data, provenance
from .choices import NO_CHOICES, Choices
from .clips import MAX_CHANNELS, Clip, ClipError
from .level import MAX_LUFS, TRAINED_LUFS, loudness, solve_level
from .model import Features, MatchModel, Prediction
from .reference import ReferenceClip, mean_lufs
from .second_look import left_over_db, with_left_over
from .tone import tone_share, with_tone_of


@dataclass(frozen=True)
class Match:
    """What to play, and what it was decided on.

    settings: what to play, its level solved; sample_rate: of the input, in Hz; input_lufs, target_lufs: loudness
    before and after, the target None for the input's; in_range: False if nothing that the chain can do comes near
    the references; probabilities: that the reference has each effect, by name, and prediction: all that the model
    said, both empty for settings that were given and not matched; source: see `presets.provenance`.
    """

    settings: ChainSettings
    sample_rate: float
    input_lufs: float
    target_lufs: float | None
    in_range: bool = True
    probabilities: Mapping[str, float] = field(default_factory=dict)
    prediction: Prediction | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chain(self) -> Chain:
        """The settings as a chain to call from Python."""
        return Chain.from_settings(self.settings)

    def play(self, x: np.ndarray) -> np.ndarray:
        """Play a sound (frames,) or (frames, channels) of the match's sample rate, in time; the same shape, float64."""
        return play_clip(self.settings, x, self.sample_rate)

    def preset(self, name: str = "match") -> Preset:
        """Give the match as a preset, to be saved or played. Raises PresetError for a name that no file can have."""
        target = None if self.target_lufs is None else min(self.target_lufs, MAX_LUFS)
        return Preset(name, self.settings, 1.0, target, self.source)


def match(
    x: np.ndarray,
    reference: np.ndarray | Sequence[np.ndarray],
    sample_rate: float,
    model: MatchModel | None = None,
    *,
    amount: float = 1.0,
    boldness: float | None = None,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    locked: Collection[str] = (),
    playing: ChainSettings | None = None,
) -> Match:
    """Find settings with which `x` sounds like `reference`.

    x (frames,) or (frames, channels) is mono or stereo, reference has any number of channels, both at
    `sample_rate`; what is predicted for a list of references is averaged. Without a `model` the shipped one is
    used. `amount` 0 … 1 scales the change; what else may be asked is in `Choices`. Nothing is played:
    `match(…).play(x)` does that. Raises ClipError for a sound that is silent or shorter than 1 s, ValueError for a
    shape, amount or choice that is not allowed.
    """
    model = _shipped() if model is None else model
    several = [reference] if isinstance(reference, np.ndarray) else reference
    if not 0.0 <= amount <= 1.0:
        raise ValueError(f"amount: {amount:g} is not in [0, 1]")
    x = _checked(x, "x", sample_rate)
    if x.shape[1] > MAX_CHANNELS:
        raise ValueError(f"x has {x.shape[1]} channels; a chain plays 1 or 2")
    clips = []
    for i, each in enumerate(several):
        name = f"reference[{i}]" if len(several) > 1 else "reference"
        sound = _checked(each, name, sample_rate)
        features = model.analyse(sound, sample_rate, name)
        clips.append(ReferenceClip(Path(name), features, loudness(sound, sample_rate), len(sound) / sample_rate))
    choices = Choices.of(model.chain.order, boldness, only, without, locked, playing)
    return match_features(model, model.analyse(x, sample_rate, "x"), x, sample_rate, clips, amount, choices=choices)


def _checked(sound: np.ndarray, name: str, sample_rate: float) -> np.ndarray:
    """Give a sound as (frames, channels) without direct current; ValueError for another shape."""
    x = np.asarray(sound, np.float64)
    if x.ndim not in (1, 2):
        raise ValueError(f"{name} has the shape {x.shape}; it must be (frames,) or (frames, channels)")
    if x.ndim == 2 and x.shape[0] < x.shape[1]:
        raise ValueError(f"{name} has the shape {x.shape}; it must be (frames, channels): give {name}.T")
    x = x if x.ndim == 2 else x[:, None]
    return DcBlocker(sample_rate, x.shape[1], x.mean(0))(x) if len(x) else x


@lru_cache(1)
def _shipped() -> MatchModel:
    return MatchModel(SHIPPED_MODEL)


def match_features(
    model: MatchModel,
    features: Features,
    x: np.ndarray,
    sample_rate: float,
    references: Sequence[ReferenceClip],
    amount: float = 1.0,
    input_lufs: float | None = None,
    choices: Choices = NO_CHOICES,
) -> Match:
    """Predict settings for an input of these features, scale them by `amount`, and solve their level on x.

    x (frames,) or (frames, channels) is a part of the input, or all of it; `input_lufs` is the loudness of the
    whole input, if x is only a part.
    """
    order, theirs = model.chain.order, [r.features for r in references]
    prediction = model.predict(features, theirs, choices.allowed(order), choices.named(order))
    x_lufs = loudness(x if x.ndim == 2 else x[:, None], sample_rate)
    input_lufs = x_lufs if input_lufs is None else input_lufs
    target = input_lufs + amount * (mean_lufs(references) - input_lufs)
    settings = chosen_settings(model, prediction, choices, x, sample_rate, references).scaled(amount)
    solved = solve_level(choices.kept(settings), x, sample_rate, target + x_lufs - input_lufs, model.lufs)
    near = amount < 1.0 or result_in_range(model, solved, x, sample_rate, references, prediction.same_source)
    chances = dict(zip(model.chain.order, map(float, prediction.probability), strict=True))
    said = choices_data(choices.boldness, choices.only or (), choices.without, choices.locked)
    source = provenance([r for r in references if r.sha256], model.name, choices=said)
    return Match(solved, sample_rate, input_lufs, target, near, chances, prediction, source)


def chosen_settings(
    model: MatchModel,
    prediction: Prediction,
    choices: Choices,
    x: np.ndarray,
    sample_rate: float,
    references: Sequence[ReferenceClip],
) -> ChainSettings:
    """Turn a prediction into settings as bold as is asked for, levels unsolved.

    An equaliser is corrected after x (frames,) or (frames, channels), the input, has been played once.
    Bolder than the default, it also takes over the references' tonal balance, which costs a few plays more.
    """

    def solved(trial: ChainSettings) -> ChainSettings:
        return solve_level(choices.kept(trial), x, sample_rate, model.lufs, model.lufs)

    settings, theirs = model.settings(prediction, boldness=choices.boldness), [r.features for r in references]
    left_db = left_over_db(model, prediction, choices, settings, theirs, x, sample_rate, solved)
    settings = with_left_over(model, settings, left_db)
    if (share := tone_share(model, prediction, choices)) > 0.0:
        wanted_db = np.mean([r.spectrum_db for r in theirs], 0)
        settings = with_tone_of(wanted_db, model, settings, x, sample_rate, share, solved)
    return settings


def match_clip(
    clip: Clip,
    model: MatchModel,
    references: Sequence[ReferenceClip],
    amount: float = 1.0,
    choices: Choices = NO_CHOICES,
) -> Match:
    """Match a file to references; rendering makes its level right over its whole length. Raises ClipError."""
    features = model.analyse(clip.excerpts, clip.sample_rate, shown(clip.path))
    return match_features(model, features, clip.excerpts, clip.sample_rate, references, amount, clip.lufs, choices)


def given_settings(
    clip: Clip, settings: ChainSettings, target_lufs: float | None, trained_lufs: float = TRAINED_LUFS
) -> Match:
    """Use given settings on a file, its level solved for a loudness or (None) for the file's own."""
    target = clip.lufs if target_lufs is None else target_lufs
    excerpts_lufs = loudness(clip.excerpts, clip.sample_rate)
    target_here = target + excerpts_lufs - clip.lufs
    solved = solve_level(settings, clip.excerpts, clip.sample_rate, target_here, trained_lufs)
    return Match(solved, clip.sample_rate, clip.lufs, target)


def result_in_range(
    model: MatchModel,
    settings: ChainSettings,
    x: np.ndarray,
    sample_rate: float,
    references: Sequence[ReferenceClip],
    same_source: float,
) -> bool:
    """Play a part of the input (frames, channels) and say whether it now sounds like one of the references."""
    x = x[:, None] if x.ndim == 1 else x[:, :2]
    try:
        played = model.analyse(ChainPlayer(settings, sample_rate, x.shape[1]).play(x), sample_rate)
    except ClipError:  # silent
        return True
    return model.in_range(played, [r.features for r in references], same_source)
