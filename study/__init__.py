"""The study: how well does each kind of model transfer each effect?

`pairs` draws inputs, references and answers; `metrics` compare; `methods` are trainings, `systems` all that can be
scored; `run` makes rows and `report` a page of them. `cli` is `afx-study`, `quickstart` all of it in small. Nothing
here imports the live side.
"""

__all__ = ["methods", "metrics", "pairs", "report", "run", "systems"]
