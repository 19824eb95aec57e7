"""Trainings for the study: the methods of others, through audio, beside ours, on equal budgets.

`afx-study train fit --config ad.yaml …` trains; `load` opens what was trained.
"""

from .player import Trained, load

__all__ = ["Trained", "load"]
