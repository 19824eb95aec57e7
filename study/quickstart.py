"""The study in small, from scratch: one gradient method, two effects, trained, evaluated, reported."""

import os
from pathlib import Path
from typing import Any

import yaml

from ..training.cli import find_config
from ..training.datamodules import held_out_of
from ..training.recordings.decoded import playing
from .pairs import MODES, Condition
from .report import report
from .run import plan
from .run.evaluate import Study, run
from .systems import registry

EFFECTS = ("equaliser", "compressor")
EFFECT_SETS = (*EFFECTS, "equaliser+compressor")
SYSTEMS = ("nothing", "loudness", "match_eq_50", "rb_dsp_2048", "matcher", "ad", "oracle")


def quickstart(
    folder: str, layout: str, config: str | None, output: Path, minutes: float, renders: int, n: int, seed: int
) -> tuple[Path, Path]:
    """Train AD on equaliser and compressor for `minutes` of processor time, evaluate it on n pairs a cell, report.

    What exists already (renders, a finished training, rows) is kept. Returns the report's two paths.
    """
    from .methods.cli import main as train

    given = yaml.safe_load(Path(find_config(config)).read_text())["data"] if config else {}
    split = {"held_out": list(given.get("held_out", ())), "test": list(given.get("test", ()))}
    models = output / "models"
    if not any((models / "ad").rglob("best*.ckpt")):
        described = output / "ad.yaml"
        output.mkdir(parents=True, exist_ok=True)
        described.write_text(yaml.safe_dump(training(folder, layout, split, models / "ad", minutes, renders)))
        train(["fit", "--config", "ad.yaml", "--config", str(described)])
    validation, test = held_out_of(playing(folder, layout), split["held_out"], split["test"])
    conditions = [Condition(effect_set=name, mode=mode) for name in EFFECT_SETS for mode in MODES]
    cells: plan.Cells = {condition: dict.fromkeys(SYSTEMS, n) for condition in conditions}
    study = Study(test or validation, models, output / "rows", cells, seed)
    # spawn: "ddp" would start this whole command once more
    run(study, devices=os.cpu_count() or 1, strategy="ddp_spawn" if (os.cpu_count() or 1) > 1 else "auto")
    registry.checkpoint(models, "ad")  # FileNotFoundError if the training left none
    return report.write([output / "rows"], output / "REPORT.html", models)


def training(
    folder: str, layout: str, split: dict[str, list[str]], home: Path, minutes: float, renders: int
) -> dict[str, Any]:
    """Return the training's config, on top of methods/configs/ad.yaml; it is kept beside its results."""
    callbacks = [
        {"class_path": "afx_live.study.methods.budget.Budget", "init_args": {"minutes": minutes, "threads": 1}},
        {
            "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
            "init_args": {
                "monitor": "validation/stft",
                "save_last": True,
                "filename": "best",
                "enable_version_counter": False,
            },
        },
    ]
    data = {
        "folder": str(Path(folder).expanduser().absolute()),
        "layout": layout,
        **split,
        "takes": renders,
        "validation_takes": max(20, renders // 15),
        "chains": {"equaliser": 0.3, "compressor": 0.3, EFFECT_SETS[-1]: 0.4},
    }
    return {
        "trainer": {"default_root_dir": str(home), "val_check_interval": 100, "callbacks": callbacks},
        "model": {
            "class_path": "afx_live.study.methods.system.MethodSystem",
            "init_args": {"method": "ad", "effects": list(EFFECTS)},
        },
        "data": data,
    }
