"""`afx-train`: Lightning's own command line over our model and data."""

import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str] | None = None) -> None:
    """Run `afx-train [hearing] fit|validate … --data.folder RECORDINGS [--config FILE] [--trainer.… …]`.

    Devices, nodes, strategy, precision, checkpoints and logger are Lightning's flags. Defaults come
    from afx.yaml beside this file. `hearing` trains the same model by ear: see hearing.py. Exit codes:
    0 done, 2 usage, 4 recordings or checkpoints that are not there, 1 anything else.
    """
    try:
        import lightning  # noqa: F401
    except ImportError as error:
        sys.exit(f"afx-train: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")

    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["hearing"]:
        from .by_sound.system import OnTheFlyData, SoundSystem

        return command_line(SoundSystem, OnTheFlyData, Path(__file__).with_name("configs") / "hearing.yaml", given[1:])

    from .datamodules import PairsDataModule
    from .response_system import ResponseSystem

    command_line(ResponseSystem, PairsDataModule, Path(__file__).with_name("configs") / "afx.yaml", arguments)


def command_line(model: Any, data: Any, defaults: Path, arguments: list[str] | None, **more: Any) -> None:
    """Run LightningCLI with defaults from a file; what is not there ends it with code 4 and no traceback."""
    from lightning.pytorch.cli import LightningCLI

    from .recordings.recordings import NoRecordings

    parser = {command: {"default_config_files": [str(defaults)]} for command in ("fit", "validate")}
    try:
        LightningCLI(model, data, args=arguments, parser_kwargs=parser, save_config_kwargs={"overwrite": True}, **more)
    except (FileNotFoundError, NoRecordings) as error:
        print(f"afx-train: {error}", file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    main()
