"""The smallest study from scratch: one gradient method, one pair of effects, trained, measured, reported."""

import os
from pathlib import Path
from typing import Any

import yaml

from ...training.datamodules import held_out_of
from ...training.recordings.recordings import find
from ..pairs.case import MODES, Case
from ..report import report
from ..systems import registry
from . import plan
from .run import Study, run

EFFECTS = ("equaliser", "compressor")
ROWS = (*EFFECTS, "equaliser+compressor")
ASKED = ("nothing", "loudness", "match_eq_50", "rb_dsp_2048", "matcher", "ad", "oracle")


def smallest(
    folder: str, layout: str, config: Path | None, output: Path, minutes: float, renders: int, n: int, seed: int
) -> tuple[Path, Path]:
    """Train AD on equaliser and compressor for `minutes` of processor time, run its cells, write its report.

    What is there already (renders, a finished training, rows) is kept. Returns the report's two paths.
    """
    from ..methods.cli import main as train

    given = yaml.safe_load(config.read_text())["data"] if config else {}
    split = {"held_out": list(given.get("held_out", ())), "test": list(given.get("test", ()))}
    models = output / "models"
    if not any((models / "ad").rglob("best*.ckpt")):
        described = output / "ad.yaml"
        output.mkdir(parents=True, exist_ok=True)
        described.write_text(yaml.safe_dump(training(folder, layout, split, models / "ad", minutes, renders)))
        train(["fit", "--config", "ad.yaml", "--config", str(described)])
    validation, test = held_out_of(find(folder, layout), split["held_out"], split["test"])
    cells: plan.Cells = {Case(row=row, mode=mode): dict.fromkeys(ASKED, n) for row in ROWS for mode in MODES}
    study = Study(test or validation, models, output / "rows", cells, seed)
    # spawn: "ddp" would start this whole command once more
    run(study, devices=os.cpu_count() or 1, strategy="ddp_spawn" if (os.cpu_count() or 1) > 1 else "auto")
    registry.checkpoint(models, "ad")  # FileNotFoundError if the training left none
    return report.write([output / "rows"], output / "REPORT.html", models)


def training(
    folder: str, layout: str, split: dict[str, list[str]], home: Path, minutes: float, renders: int
) -> dict[str, Any]:
    """Give the training's config, on top of training/study/ad.yaml; it is kept beside what it makes."""
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
        "chains": {"equaliser": 0.3, "compressor": 0.3, ROWS[-1]: 0.4},
    }
    return {
        "trainer": {"default_root_dir": str(home), "val_check_interval": 100, "callbacks": callbacks},
        "model": {
            "class_path": "afx_live.study.methods.system.Transfer",
            "init_args": {"method": "ad", "effects": list(EFFECTS)},
        },
        "data": data,
    }
