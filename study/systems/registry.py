"""Every system of the study by its name: `system("match_eq", models)` is a function from a pair to a result.

A name may end in the effects that the chain may use, as in "ad:equaliser+compressor": then it is constrained to
them. Whatever the system, its audio is finite, as long as the input and, except for `nothing`, as loud as the
reference (ITU-R BS.1770-4, as far as 48 dB of gain suffice). Where input or reference is silent (under -60 LUFS),
every system returns the input.
"""

from collections.abc import Callable, Collection
from functools import cache, partial
from pathlib import Path

import numpy as np

from ... import presets
from ...chain import CANONICAL, ChainParameters, ChainSettings, play_clip
from ...dsp.loudness import integrated_loudness
from ...effects import names
from ...matching import MatchModel, match, solve_level
from ...matching.format import DESCRIPTION
from ..pairs.condition import SILENT_LUFS, Pair, Result, System
from . import baselines, rb_dsp, rule_matcher
from .playing import at_reference_loudness, constrained, played

TRAININGS = ("ad", "spsa", "np", "np_hh", "np_fh", "ctcn1", "ctcn2", "response")
"""Those that `afx-study train` makes."""

Allowed = Collection[str] | None
Maker = Callable[[Path, Allowed], System]
"""Makes a system from the folder of trainings and the effects that it may use (None: all)."""


class NotApplicable(ValueError):
    """A system that has no answer to this pair: say, the oracle where no settings are known."""


def parse(name: str) -> tuple[str, tuple[str, ...] | None]:
    """Split "ad:equaliser+compressor" into a system and its effects (None: all); ValueError for unknown ones."""
    base, colon, text = name.partition(":")
    if base not in SYSTEMS:
        raise ValueError(f"{base!r} is not a system; there are {', '.join(SYSTEMS)}")
    if not colon:
        return base, None
    if base in WITHOUT_CHAIN:
        raise ValueError(f"{base} has no effects to choose from; leave {colon + text!r} out")
    effects = tuple(text.split("+"))
    if unknown := [e for e in effects if e not in names()] or [e for e in effects if effects.count(e) > 1]:
        raise ValueError(f"{name}: {unknown[0]!r} is not an effect, or there twice; there are {', '.join(names())}")
    return base, effects


def system(name: str, models: Path) -> System:
    """Make a system by its name; `models` is the folder of the trainings, `models/<name>` each.

    `ours` is `models/ours` if that is a model folder, else the shipped model. Raises ValueError for an unknown
    name, FileNotFoundError for a training that does not exist.
    """
    base, allowed = parse(name)
    play = SYSTEMS[base](Path(models), allowed)
    return lambda pair: _checked(name, play, pair)


def _checked(name: str, play: System, pair: Pair) -> Result:
    x, rate = pair.input, pair.sample_rate
    if min(integrated_loudness(clip, rate) for clip in (x, pair.reference)) < SILENT_LUFS:
        return Result(x.copy())
    result = play(pair)
    if result.audio.shape != x.shape or not np.isfinite(result.audio).all():
        raise ArithmeticError(f"{name} returned audio of shape {result.audio.shape} for {x.shape}, or NaN or Inf")
    return result


# --- trainings ------------------------------------------------------------------------------------


def _trained(name: str, models: Path, allowed: Allowed) -> System:
    from ..methods import load

    trained = load(checkpoint(models, name), hard=name == "np_hh")

    def play(pair: Pair) -> Result:
        effects = None if allowed is None else tuple(allowed)
        result = trained.play(pair.input, pair.reference, pair.sample_rate, effects)
        return at_reference_loudness(pair, np.asarray(result.audio, np.float64), result.settings)

    return play


def checkpoint(models: Path, name: str) -> Path:
    """Find a training's checkpoint: models/<name>.ckpt, or the newest best*.ckpt under models/<name>.

    NP-HH plays NP's. Raises FileNotFoundError if there is none.
    """
    name = "np" if name == "np_hh" else name
    single = models / f"{name}.ckpt"
    found = sorted((models / name).rglob("best*.ckpt"), key=lambda p: p.stat().st_mtime)
    if not single.is_file() and not found:
        raise FileNotFoundError(
            f"{models / name} has no best.ckpt; train it first: afx-study train fit --config {name}.yaml"
        )
    return single if single.is_file() else found[-1]


# --- baselines ------------------------------------------------------------------------------------


def _baseline(baseline: baselines.Baseline) -> Maker:
    return lambda models, allowed: lambda pair: Result(baseline(pair.input, pair.reference, pair.sample_rate))


def _rb_dsp(taps: int, aligned: bool) -> Maker:
    def play(pair: Pair) -> Result:
        y = rb_dsp.rb_dsp(pair.input, pair.reference, pair.sample_rate, taps, aligned)
        return at_reference_loudness(pair, y)

    return lambda models, allowed: play


def _matcher(models: Path, allowed: Allowed) -> System:
    def play(pair: Pair) -> Result:
        settings = rule_matcher.rule_settings(pair.input, pair.reference, pair.sample_rate, allowed or CANONICAL)
        return played(pair, settings)

    return play


@cache
def mean_settings(effects: tuple[str, ...] = CANONICAL, draws: int = 1000) -> ChainSettings:
    """Return the mean of the settings that models are trained on, each parameter on its own scale, all enabled."""
    from ...training.priors import draw

    chain, rng = ChainParameters(CANONICAL), np.random.default_rng(0)
    params = [p for _, p in chain.params]
    drawn = [chain.vector(draw(rng, CANONICAL)) for _ in range(draws)]
    unit = np.mean([[p.unit(v) for p, v in zip(params, row, strict=True)] for row in drawn], 0)
    values = np.array([p.value(u) for p, u in zip(params, unit, strict=True)])
    return chain.settings(values, [e in effects for e in CANONICAL])


def _prior_mean(models: Path, allowed: Allowed) -> System:
    return lambda pair: played(pair, mean_settings(tuple(allowed or CANONICAL)))


def _nearest_preset(models: Path, allowed: Allowed) -> System:
    """Play the factory preset after which the input's statistics, in the model's features, are nearest."""
    model = loaded(ours_folder(models))
    factory = sorted(Path(presets.__file__).parent.glob("*.json"))
    chains = [presets.load(path).settings for path in factory]

    def play(pair: Pair) -> Result:
        wanted = model.analyse(pair.reference, pair.sample_rate).statistics
        tried = [played(pair, chain) for chain in chains]
        found = [model.analyse(r.audio, pair.sample_rate).statistics for r in tried]
        return tried[int(np.argmin([np.square(f - wanted).mean() for f in found]))]

    return play


# --- systems that know the answer -----------------------------------------------------------------


def _oracle(models: Path, allowed: Allowed) -> System:
    """Play the settings that made the answer, at the level they had there; only the loudness is the reference's."""

    def play(pair: Pair) -> Result:
        if pair.settings is None:
            raise NotApplicable("the oracle plays the settings that made the answer, and this pair has none")
        settings = constrained(pair.settings, allowed or names())
        target = min(integrated_loudness(pair.reference, pair.sample_rate), 0.0)
        settings = solve_level(
            settings, pair.input, pair.sample_rate, target, 0.0, input_gain_db=settings.input_gain_db
        )
        return Result(play_clip(settings, pair.input, pair.sample_rate), settings)

    return play


def _ceiling(models: Path, allowed: Allowed) -> System:
    def play(pair: Pair) -> Result:
        from .gradient_fit import fit_to_answer

        return played(pair, fit_to_answer(pair, allowed or CANONICAL))

    return play


# --- ours -----------------------------------------------------------------------------------------


@cache
def loaded(folder: Path) -> MatchModel:
    """Open a model folder, once in each process."""
    return MatchModel(folder)


def ours_folder(models: Path) -> Path:
    """Return the folder of the model that "ours" is."""
    return models / "ours" if (models / "ours" / DESCRIPTION).is_file() else presets.SHIPPED_MODEL


def _ours(models: Path, allowed: Allowed) -> System:
    model = loaded(ours_folder(models))

    def play(pair: Pair) -> Result:
        x, rate = pair.input, pair.sample_rate
        found = match(x, pair.reference, rate, model)
        settings = found.settings
        if allowed is not None:
            settings = solve_level(constrained(settings, allowed), x, rate, found.target_lufs, model.lufs)
        return Result(play_clip(settings, x, rate), settings)

    return play


SYSTEMS: dict[str, Maker] = {
    "nothing": _baseline(baselines.do_nothing),
    "loudness": _baseline(baselines.only_loudness),
    "prior_mean": _prior_mean,
    "nearest_preset": _nearest_preset,
    "match_eq_50": _baseline(baselines.match_eq(0.5)),
    "match_eq": _baseline(baselines.match_eq(1.0)),
    "rb_dsp_63": _rb_dsp(63, aligned=False),
    "rb_dsp_2048": _rb_dsp(2047, aligned=True),
    "matcher": _matcher,
    "oracle": _oracle,
    "ceiling": _ceiling,
    "ours": _ours,
    **{name: partial(_trained, name) for name in TRAININGS},
}
"""Every system by name; bench/foreign.py adds Matchering."""
WITHOUT_CHAIN = {"nothing", "loudness", "nearest_preset", "match_eq_50", "match_eq", "rb_dsp_63", "rb_dsp_2048"}
"""Systems without a chain of ours: they cannot be constrained to some effects."""
