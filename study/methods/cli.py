"""`afx-study train`: Lightning's command line over the study's trainings."""

import warnings
from pathlib import Path

CONFIGS = Path(__file__).with_name("configs")


def main(arguments: list[str]) -> None:
    """Run `afx-study train fit|validate --config METHOD.yaml --data.folder RECORDINGS […]`.

    Configs that come with the study or with afx-train need no path: `--config ad.yaml --config split.yaml`.
    """
    import lightning

    from ...training.cli import command_line
    from .renders import Renders

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # they lack the word "train"
        command_line(lightning.LightningModule, Renders, CONFIGS / "study.yaml", arguments, subclass_mode_model=True)
