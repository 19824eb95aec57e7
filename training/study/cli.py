"""`afx-train study`: Lightning's command line over the study's trainings."""

import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Run `afx-train study fit|validate --config METHOD.yaml --data.folder RECORDINGS […]`.

    A config that is not there is looked for beside this file, so `--config ad.yaml` works anywhere.
    Exit codes: 0 done, 2 usage, 4 recordings or checkpoints that are not there, 1 anything else.
    """
    import warnings

    import lightning
    from lightning.pytorch.cli import LightningCLI

    from ..recordings import NoRecordings
    from .renders import Renders

    home = Path(__file__).parent
    given = sys.argv[1:] if arguments is None else arguments
    given = [
        str(home / a) if a.endswith(".yaml") and not Path(a).exists() and (home / a).exists() else a for a in given
    ]
    defaults = [str(home / "study.yaml")]
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # ours lack the word "study"
    try:
        LightningCLI(
            lightning.LightningModule,
            Renders,
            subclass_mode_model=True,
            args=given,
            parser_kwargs={command: {"default_config_files": defaults} for command in ("fit", "validate")},
            save_config_kwargs={"overwrite": True},
        )
    except (FileNotFoundError, NoRecordings) as error:
        print(f"afx-train: {error}", file=sys.stderr)
        sys.exit(4)
