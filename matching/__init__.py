"""Matching: an input and a reference → settings of a chain, their level solved.

Arrays in, arrays out; no audio device and no torch.

>>> import soundfile
>>> from afx_live.presets import clip
>>> x, sample_rate = soundfile.read(clip("guitar"))
>>> found = match(x, soundfile.read(clip("guitar_reference"))[0], sample_rate)
>>> [name for name, p in found.probabilities.items() if p > 0.9]
['distortion']
>>> y = found.play(x)

match          arrays, files or features to a `Match`
model          a model folder at work: features of a sound, predicted settings
format         what is in a model folder; the only place that knows
choices        boldness, effects in question, locks: what the user says before matching
decision       how much of each effect to use
second_look    what an equaliser left over, heard and corrected
tone           the references' tonal balance, for the greatest boldness; long_term_spectrum: what it is of
explain        of each effect how sure, how much, what it does, what would bring it
onnx_sandbox   graphs from elsewhere, tried in a process of their own
clips          audio files: read with care, excerpts of what is active in them
windows        where in a clip there is sound
blocks         long sounds, the next block prepared while the last one is used
reference      a reference file, and everything that is asked of it
level          loudness through a chain, and gains that reach a loudness
equaliser_fit  the equaliser's curve, and settings for a wanted curve
words          what was chosen, in words
"""

from .choices import Choices
from .clips import Clip, ClipError, read_clip
from .decision import Decision
from .equaliser_fit import fit_values, settings_curve_db
from .explain import EffectReport, Explanation, explain, heard_enough
from .level import loudness, solve_level
from .match import Match, chosen_settings, given_settings, match, match_clip, match_features, result_in_range
from .model import Features, MatchModel, Prediction, feature_distance
from .onnx_sandbox import ModelError
from .reference import ReferenceClip, mean_lufs, read_reference
from .words import OUT_OF_RANGE, sentences

__all__ = [
    "OUT_OF_RANGE",
    "Choices",
    "Clip",
    "ClipError",
    "Decision",
    "EffectReport",
    "Explanation",
    "Features",
    "Match",
    "MatchModel",
    "ModelError",
    "Prediction",
    "ReferenceClip",
    "chosen_settings",
    "explain",
    "feature_distance",
    "fit_values",
    "given_settings",
    "heard_enough",
    "loudness",
    "match",
    "match_clip",
    "match_features",
    "mean_lufs",
    "read_clip",
    "read_reference",
    "result_in_range",
    "sentences",
    "settings_curve_db",
    "solve_level",
]
