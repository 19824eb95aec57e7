"""Metrics: how far a result is from the answer, as numbers that others have reported too, and effect by effect."""

from .audio import log_mel_error, matched_stft_error, stft_error
from .bootstrap import bootstrap_interval
from .score import METRICS, score

__all__ = ["METRICS", "bootstrap_interval", "log_mel_error", "matched_stft_error", "score", "stft_error"]
