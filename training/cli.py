"""`afx-train`: Lightning's own command line over our model and data."""

import sys
from pathlib import Path
from typing import Any

from ..files.streams import make_safe


def main(arguments: list[str] | None = None) -> None:
    """Run `afx-train gather FOLDER`, or `afx-train fit|validate … --data.folder RECORDINGS [--config FILE] …`.

    Devices, nodes, strategy, precision, checkpoints and logger are Lightning's flags. Defaults come
    from configs/afx.yaml. Exit codes: 0 done, 2 usage, 4 recordings or checkpoints that are not there, 1 anything else.
    """
    if arguments is None:
        make_safe()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["gather"]:
            from .recordings.gather.gather import main as gather

            return gather(given[1:])
        import lightning  # noqa: F401
    except ImportError as error:
        sys.exit(f"afx-train: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")

    from .datamodules import TakesDataModule
    from .system import SettingsSystem

    command_line(SettingsSystem, TakesDataModule, Path(__file__).with_name("configs") / "afx.yaml", given)


def command_line(model: Any, data: Any, defaults: Path, arguments: list[str] | None, **more: Any) -> None:
    """Run LightningCLI with defaults from a file; what is not there ends it with code 4 and no traceback."""
    from lightning.pytorch.cli import LightningCLI

    from .recordings import NoRecordings

    parser = {command: {"default_config_files": [str(defaults)]} for command in ("fit", "validate")}
    try:
        LightningCLI(model, data, args=arguments, parser_kwargs=parser, save_config_kwargs={"overwrite": True}, **more)
    except (FileNotFoundError, NoRecordings) as error:
        print(f"afx-train: {error}", file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    main()
