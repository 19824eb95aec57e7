"""`afx-train`: Lightning's own command line over our model and data."""

import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Run `afx-train [study] fit|validate … --data.folder RECORDINGS [--config FILE] [--trainer.… …]`.

    Devices, nodes, strategy, precision, checkpoints and logger are Lightning's flags. Defaults come
    from afx.yaml beside this file. `study` trains what the study compares with: see study/cli.py. Exit
    codes: 0 done, 2 usage, 4 recordings, 1 anything else.
    """
    try:
        from lightning.pytorch.cli import LightningCLI
    except ImportError as error:
        sys.exit(f"afx-train: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")

    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["study"]:
        from .study.cli import main as study

        return study(given[1:])

    from .data import References
    from .recordings import NoRecordings
    from .system import System

    defaults = [str(Path(__file__).with_name("afx.yaml"))]
    try:
        LightningCLI(
            System,
            References,
            args=arguments,
            parser_kwargs={command: {"default_config_files": defaults} for command in ("fit", "validate")},
            save_config_kwargs={"overwrite": True},
        )
    except (FileNotFoundError, NoRecordings) as error:
        print(f"afx-train: {error}", file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    main()
