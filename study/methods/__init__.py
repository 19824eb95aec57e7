"""Trainings for the study: what others did, through audio, beside what we do, on equal budgets.

`afx-train study fit --config training/study/ad.yaml …` trains; `load` gives what was trained.
"""

from .player import Played, Trained, load

__all__ = ["Played", "Trained", "load"]
