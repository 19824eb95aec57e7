"""`afx-study train`: Lightning's command line over the study's trainings."""

import warnings
from pathlib import Path

CONFIGS = Path(__file__).with_name("configs")


def main(arguments: list[str]) -> None:
    """Run `afx-study train fit|validate --config METHOD.yaml --data.folder RECORDINGS […]`.

    A config that does not exist is looked up in `configs` beside this file, so `--config ad.yaml` works anywhere.
    """
    import lightning

    from ...training.cli import command_line
    from .renders import Renders

    found = [str(CONFIGS / a) if _shipped(a) else a for a in arguments]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # they lack the word "train"
        command_line(lightning.LightningModule, Renders, CONFIGS / "study.yaml", found, subclass_mode_model=True)


def _shipped(argument: str) -> bool:
    return argument.endswith(".yaml") and not Path(argument).exists() and (CONFIGS / argument).exists()
