"""Every system of the study behind one name: `system("match_eq", models)` gives a function from a pair to a result.

A name may end in the effects that a chain may use, as in "ad:equaliser+compressor"; without, it may use
all it knows. Whatever the system, its audio is finite, as long as the input and, except for `nothing`, as
loud as the reference (ITU-R BS.1770-4, as far as 48 dB of gain go). Where input or reference is silent
(under -60 LUFS), the input comes back as it is.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from ... import presets
from ...chain import CANONICAL, ChainParameters, ChainSettings
from ...dsp.loudness import integrated_loudness
from ...effects import names
from ...matching import Match, MatchModel, ReferenceClip, match_features, solve_level
from ...matching.level import MIN_LUFS
from ..pairs.case import Pair, Result, System
from . import baselines, rb_dsp, rule_matcher

FLOORS = ("nothing", "loudness", "prior_mean", "nearest_preset")
RULES = ("match_eq_50", "match_eq", "rb_dsp_63", "rb_dsp_2048", "matcher")
ORACLES = ("oracle", "ceiling")
"""These know the answer, or the settings that made it."""
OURS = ("ours", "ours_refined")
TRAININGS = ("ad", "spsa", "np", "np_hh", "np_fh", "ctcn1", "ctcn2", "response")
LEARNED = (*OURS, *TRAININGS)
NAMES = (*FLOORS, *RULES, *ORACLES, *LEARNED)
UNMASKED = ("nothing", "loudness", "nearest_preset", "match_eq_50", "match_eq", "rb_dsp_63", "rb_dsp_2048")
"""These have no chain of ours that effects could be taken from."""

Maker = Callable[[Path, Collection[str] | None], System]


class NotApplicable(ValueError):
    """A system that has no answer to this pair, whatever it hears: say, the oracle where no settings are known."""


def parse(name: str) -> tuple[str, tuple[str, ...] | None]:
    """Split "ad:equaliser+compressor" into a system and its effects (None: all); ValueError for unknown ones."""
    base, colon, text = name.partition(":")
    if base not in NAMES:
        raise ValueError(f"{base!r} is not a system; there are {', '.join(NAMES)}")
    if not colon:
        return base, None
    if base in UNMASKED:
        raise ValueError(f"{base} has no effects to choose from; leave {colon + text!r} out")
    effects = tuple(text.split("+"))
    if unknown := [e for e in effects if e not in names()] or [e for e in effects if effects.count(e) > 1]:
        raise ValueError(f"{name}: {unknown[0]!r} is not an effect, or there twice; there are {', '.join(names())}")
    return base, effects


def system(name: str, models: Path) -> System:
    """Give a system by its name; `models` is the folder of the trainings, `models/<name>` each.

    `ours` is `models/ours` if that is a model's folder, else the shipped model. Raises ValueError for an
    unknown name, FileNotFoundError for a training that is not there.
    """
    base, allowed = parse(name)
    play = _MAKERS[base](Path(models), allowed) if base in _MAKERS else _trained(base, Path(models), allowed)
    return lambda pair: _checked(name, play, pair)


def _checked(name: str, play: System, pair: Pair) -> Result:
    x, rate = pair.input, pair.sample_rate
    if min(integrated_loudness(clip, rate) for clip in (x, pair.reference)) < MIN_LUFS:
        return Result(x.copy())
    result = play(pair)
    if result.audio.shape != x.shape or not np.isfinite(result.audio).all():
        raise ArithmeticError(f"{name} gave audio of shape {result.audio.shape} for {x.shape}, or NaN or Inf")
    return result


def _trained(name: str, models: Path, allowed: Collection[str] | None) -> System:
    from ..methods import load  # pyright: ignore[reportMissingImports]

    trained = load(checkpoint(models, name), hard=name == "np_hh")

    def play(pair: Pair) -> Result:
        made = trained.play(pair.input, pair.reference, pair.sample_rate, None if allowed is None else tuple(allowed))
        return _loud(pair, np.asarray(made.audio, np.float64), made.settings)

    return play


def checkpoint(models: Path, name: str) -> Path:
    """Find a training's checkpoint: models/<name>.ckpt, or the newest best*.ckpt under models/<name>.

    NP-HH plays NP's. Raises FileNotFoundError if there is none.
    """
    name = "np" if name == "np_hh" else name
    single = models / f"{name}.ckpt"
    found = sorted((models / name).rglob("best*.ckpt"), key=lambda p: p.stat().st_mtime)
    if not single.is_file() and not found:
        raise FileNotFoundError(f"{models / name} has no best.ckpt; train it first (training/study/{name}.yaml)")
    return single if single.is_file() else found[-1]


# --- playing --------------------------------------------------------------------------------------


def _loud(pair: Pair, audio: np.ndarray, settings: ChainSettings | None = None) -> Result:
    """Bring audio to the reference's loudness; settings take the gain along."""
    step = integrated_loudness(pair.reference, pair.sample_rate) - integrated_loudness(audio, pair.sample_rate)
    if not np.isfinite(step):
        return Result(audio, settings)
    step = float(np.clip(step, -48.0, 48.0))
    if settings is not None:
        gain = float(np.clip(settings.output_gain_db + step, -48.0, 48.0))
        step, settings = gain - settings.output_gain_db, replace(settings, output_gain_db=gain)
    return Result(audio * 10 ** (step / 20), settings)


def _played(pair: Pair, settings: ChainSettings) -> Result:
    """Play settings with both levels solved, as live does."""
    settings = rule_matcher.level_for(settings, pair.input, pair.reference, pair.sample_rate)
    return Result(rule_matcher.play(settings, pair.input, pair.sample_rate), settings)


def _plain(transform: baselines.System) -> Maker:
    return lambda models, allowed: lambda pair: Result(transform(pair.input, pair.reference, pair.sample_rate))


def _rb_dsp(taps: int, aligned: bool) -> Maker:
    def play(pair: Pair) -> Result:
        return _loud(pair, rb_dsp.rb_dsp(pair.input, pair.reference, pair.sample_rate, taps, aligned))

    return lambda models, allowed: play


def _matcher(models: Path, allowed: Collection[str] | None) -> System:
    def play(pair: Pair) -> Result:
        return _played(
            pair, rule_matcher.rule_settings(pair.input, pair.reference, pair.sample_rate, allowed or CANONICAL)
        )

    return play


# --- floors ---------------------------------------------------------------------------------------


@cache
def mean_settings(effects: tuple[str, ...] = CANONICAL, draws: int = 1000) -> ChainSettings:
    """Give the mean of the settings that models are trained on, each parameter in its own scale, all effects on."""
    from ...training.pairs import vector
    from ...training.priors import draw

    chain, rng = ChainParameters(CANONICAL), np.random.default_rng(0)
    params = [p for _, p in chain.params]
    drawn = [vector(chain, draw(rng, CANONICAL)) for _ in range(draws)]
    unit = np.mean([[p.unit(v) for p, v in zip(params, row, strict=True)] for row in drawn], 0)
    values = np.array([p.value(u) for p, u in zip(params, unit, strict=True)])
    return chain.settings(values, [e in effects for e in CANONICAL])


def _prior_mean(models: Path, allowed: Collection[str] | None) -> System:
    return lambda pair: _played(pair, mean_settings(tuple(allowed or CANONICAL)))


def _nearest_preset(models: Path, allowed: Collection[str] | None) -> System:
    """Play the factory preset after which the input's statistics, as the model hears them, are nearest."""
    predictor = loaded(ours_folder(models))
    factory = sorted(Path(presets.__file__).parent.glob("*.json"))
    chains = [presets.load(path).settings for path in factory]

    def play(pair: Pair) -> Result:
        wanted = predictor.analyse(pair.reference, pair.sample_rate).statistics
        tried = [_played(pair, chain) for chain in chains]
        heard = [predictor.analyse(r.audio, pair.sample_rate).statistics for r in tried]
        return tried[int(np.argmin([np.square(h - wanted).mean() for h in heard]))]

    return play


# --- those that know ------------------------------------------------------------------------------


def _oracle(models: Path, allowed: Collection[str] | None) -> System:
    """Play the settings that made the answer, on the level they met there; only the loudness is the reference's."""
    from .gradient_fit import restricted

    def play(pair: Pair) -> Result:
        if pair.settings is None:
            raise NotApplicable("the oracle plays the settings that made the answer, and this pair has none")
        settings = restricted(pair.settings, allowed or names())
        target = min(integrated_loudness(pair.reference, pair.sample_rate), 0.0)
        settings = solve_level(
            settings, pair.input, pair.sample_rate, target, 0.0, input_gain_db=settings.input_gain_db
        )
        return Result(rule_matcher.play(settings, pair.input, pair.sample_rate), settings)

    return play


def _ceiling(models: Path, allowed: Collection[str] | None) -> System:
    def play(pair: Pair) -> Result:
        from .gradient_fit import imitate

        return _played(pair, imitate(pair, allowed or CANONICAL))

    return play


# --- ours -----------------------------------------------------------------------------------------


@cache
def loaded(model: Path) -> MatchModel:
    """Give a model folder's predictor, loaded once in each process."""
    return MatchModel(model)


def ours_folder(models: Path) -> Path:
    from ...presets import SHIPPED_MODEL

    return models / "ours" if (models / "ours" / "model.json").is_file() else SHIPPED_MODEL


def _matched(pair: Pair, folder: Path, allowed: Collection[str] | None) -> Match:
    """Match as live and files do."""
    predictor, rate = loaded(folder), pair.sample_rate
    loudness = integrated_loudness(pair.reference, rate)
    known = ReferenceClip(Path("reference"), predictor.analyse(pair.reference, rate), loudness, 0.0)
    found = match_features(predictor, predictor.analyse(pair.input, rate), pair.input, rate, [known])
    if allowed is None:
        return found
    from .gradient_fit import restricted

    target, settings = found.target_lufs, restricted(found.settings, allowed)
    return replace(found, settings=solve_level(settings, pair.input, rate, target, predictor.lufs))


def _ours(models: Path, allowed: Collection[str] | None) -> System:
    folder = ours_folder(models)

    def play(pair: Pair) -> Result:
        settings = _matched(pair, folder, allowed).settings
        return Result(rule_matcher.play(settings, pair.input, pair.sample_rate), settings)

    return play


def _ours_refined(models: Path, allowed: Collection[str] | None) -> System:
    folder = ours_folder(models)

    def play(pair: Pair) -> Result:
        from .refine import refine

        found = _matched(pair, folder, allowed)
        assert found.prediction is not None
        refined = refine(loaded(folder), found.prediction, found.settings, pair.input, pair.reference, pair.sample_rate)
        return _played(pair, refined)

    return play


_MAKERS: dict[str, Maker] = {
    "nothing": _plain(baselines.do_nothing),
    "loudness": _plain(baselines.only_loudness),
    "prior_mean": _prior_mean,
    "nearest_preset": _nearest_preset,
    "match_eq_50": _plain(baselines.match_eq(0.5)),
    "match_eq": _plain(baselines.match_eq(1.0)),
    "rb_dsp_63": _rb_dsp(63, aligned=False),
    "rb_dsp_2048": _rb_dsp(2047, aligned=True),
    "matcher": _matcher,
    "oracle": _oracle,
    "ceiling": _ceiling,
    "ours": _ours,
    "ours_refined": _ours_refined,
}
