"""Made-up rows of the study."""

from dataclasses import asdict

from afx_live.study.pairs.condition import Condition


def made_up(system, effect_set, index, error, mode="same", failed=None, **condition):
    """A row as a run would write it."""
    scores = {} if failed else {"matched_stft": error, "eq_curve_db": 4 * error}
    return {
        "condition": asdict(Condition(effect_set=effect_set, mode=mode, **condition)),
        "recording": f"group {index % 4}",
        "scores": scores,
        "index": index,
        "seed": 7,
        "system": system,
        "failed": failed,
        "unmeasured": {},
        "seconds": 0.5,
        "audio_s": 5.0,
        "about": "",
        "versions": {"python": "3.11", "sox": None},
        "recordings": {"all": "ab" * 32},
        "model": None,
    }
