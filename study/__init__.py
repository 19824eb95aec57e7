"""The study: how well does each kind of model transfer each effect?

`pairs` draws inputs, references and answers; `metrics` compare; `methods` are trainings, `systems` all that can be
scored; `run` makes rows and `report` a page of them. Nothing here imports the live side.
"""
