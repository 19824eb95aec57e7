"""All metrics of one result, by name."""

from collections.abc import Callable, Collection

from ..pairs.condition import Pair, Result
from . import audio, deepafx
from . import per_effect as effects

METRICS = (
    "stft",
    "matched_stft",
    "log_mel_db",
    "msd",
    "centroid_hz",
    "rms_db",
    "crest_db",
    "loudness_lu",
    "pesq",
    "eq_curve_db",
    "gain_reduction_r",
    "thd_db",
    "nonlinear_db",
    "rt60_share",
    "rt60_blind_share",
    "response_equaliser",
    "response_compressor",
    "response_distortion",
    "response_reverb",
)
"""The names of all scores; the response error of a further effect is added where a chain has one."""
ONLY_FOR = {
    "eq_curve_db": "equaliser",
    "gain_reduction_r": "compressor",
    "nonlinear_db": "distortion",
    "rt60_blind_share": "reverb",
}
"""Metrics that are taken only where the effect chain holds that effect, or is unknown."""


def score(
    result: Result,
    pair: Pair,
    speech: bool = False,
    failures: dict[str, str] | None = None,
    only: Collection[str] = (),
) -> dict[str, float | None]:
    """Score a result against the pair's answer: every name in METRICS, None where it does not apply or not in `only`.

    speech: whether to compute PESQ. A metric that fails is None, with the reason in `failures`; without
    `failures`, its error is raised.
    """
    scores: dict[str, float | None] = dict.fromkeys(METRICS)
    for name, metric in _metrics(result, pair, speech).items():
        if only and name not in only:
            continue
        try:
            value = metric()
            scores.update(value if isinstance(value, dict) else {name: value})
        except (ValueError, ArithmeticError, deepafx.MissingPackage) as error:
            if failures is None:
                raise
            failures[name] = str(error)
    return scores


Metric = Callable[[], float | dict[str, float] | None]


def _metrics(result: Result, pair: Pair, speech: bool) -> dict[str, Metric]:
    y, truth, x, rate = result.audio, pair.answer, pair.input, pair.sample_rate
    ours, theirs = result.settings, pair.settings
    plain = {
        "stft": audio.stft_error,
        "matched_stft": audio.matched_stft_error,
        "log_mel_db": audio.log_mel_error,
        "msd": deepafx.mel_distance,
        "centroid_hz": audio.centroid_error_hz,
        "rms_db": audio.rms_error_db,
        "crest_db": audio.crest_error_db,
        "loudness_lu": audio.loudness_error_lu,
        **({"pesq": deepafx.pesq} if speech else {}),
    }
    against_input = {
        "eq_curve_db": effects.eq_curve_error_db,
        "gain_reduction_r": effects.gain_reduction_correlation,
        "nonlinear_db": effects.nonlinear_error_db,
    }

    def blind() -> float | None:
        return effects.rt60_share(*(effects.blind_rt60(s, x, rate) for s in (y, truth)))

    def responses() -> dict[str, float]:
        assert ours is not None
        assert theirs is not None
        found = effects.response_errors(ours, theirs, x, rate)
        return {f"response_{effect}": error for effect, error in found.items()}

    metrics: dict[str, Metric] = {
        **{name: lambda f=f: f(y, truth, rate) for name, f in plain.items()},
        **{name: lambda f=f: f(y, truth, x, rate) for name, f in against_input.items()},
        "rt60_blind_share": blind,
    }
    if ours is not None and theirs is not None:
        metrics["thd_db"] = lambda: effects.thd_error_db(ours, theirs, rate)
        metrics["rt60_share"] = lambda: effects.rt60_share(
            effects.chain_rt60(ours, rate), effects.chain_rt60(theirs, rate)
        )
        metrics["responses"] = responses
    if theirs is not None:
        enabled = {step.effect for step in theirs.effects if step.enabled}
        metrics = {name: metric for name, metric in metrics.items() if ONLY_FOR.get(name) in {None, *enabled}}
    return metrics
