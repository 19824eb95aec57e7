"""`afx-train study`: Lightning's command line over the study's trainings."""

from pathlib import Path


def main(arguments: list[str]) -> None:
    """Run `afx-train study fit|validate --config METHOD.yaml --data.folder RECORDINGS […]`.

    A config that is not there is looked for beside this file, so `--config ad.yaml` works anywhere.
    """
    import warnings

    import lightning

    from ...training.cli import command_line
    from .renders import Renders

    home = Path(__file__).parent
    given = [
        str(home / a) if a.endswith(".yaml") and not Path(a).exists() and (home / a).exists() else a for a in arguments
    ]
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # ours lack the word "study"
    command_line(lightning.LightningModule, Renders, home / "study.yaml", given, subclass_mode_model=True)
