"""`afx-train`: Lightning's own command line over our model and data."""

import sys
from pathlib import Path
from typing import Any

from ..files.streams import make_safe

HELP = """\
usage: afx-train COMMAND …

Train a model that sets the chain, on your own recordings or on free ones.

  gather    collect 13 hours of freely licensed recordings: afx-train gather recordings
  fit       train a model on a folder of recordings: afx-train fit --data.folder recordings
  tune      adjust some effects of a trained model by the sound: afx-train tune best.ckpt --takes FOLDER -o tuned.ckpt
  validate  measure a checkpoint: afx-train validate --data.folder recordings --ckpt_path best.ckpt

exit codes: 0 done · 1 a bug · 2 usage · 4 recordings or checkpoints that are not there, or no room for takes
more: afx-train COMMAND --help, and docs/train_your_own.md"""


def main(arguments: list[str] | None = None) -> None:
    """Run `afx-train gather FOLDER`, `tune CHECKPOINT …`, or `fit|validate … --data.folder RECORDINGS`.

    Devices, nodes, strategy, precision, checkpoints and logger are Lightning's flags. Defaults come
    from configs/afx.yaml. Exit codes: 0 done, 2 usage, 4 recordings or checkpoints that are not there, 1 anything else.
    """
    if arguments is None:
        make_safe()
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] in ([], ["-h"], ["--help"]):
        print(HELP)
        sys.exit(0 if given else 2)
    if given[0] not in ("gather", "fit", "tune", "validate"):
        print(f"afx-train: {given[0]!r} is not a command; choose gather, fit, tune or validate", file=sys.stderr)
        sys.exit(2)
    try:
        if given[:1] == ["gather"]:
            from .recordings.gather.gather import main as gather

            return gather(given[1:])
        if given[:1] == ["tune"]:
            from .tuning import main as tune

            return tune(given[1:])
        from lightning.pytorch.cli import LightningCLI
    except FileNotFoundError as error:
        print(f"afx-train: {error}", file=sys.stderr)
        sys.exit(4)
    except ImportError as error:
        sys.exit(f"afx-train: {error.name} is missing. Install the training side: pip install 'afx-live[train]'")

    from ..chain import ChainParameters
    from .datamodules import TakesDataModule
    from .system import SettingsSystem

    class OneChain(LightningCLI):
        """Model and data have one chain, given once."""

        def add_arguments_to_parser(self, parser) -> None:
            parser.link_arguments("model.chain", "data.chain")

        def before_instantiate_classes(self) -> None:
            try:
                ChainParameters(tuple(self.config[str(self.subcommand)].model.chain))
            except ValueError as error:
                self.parser.error(f"model.chain: {error}")

    command_line(SettingsSystem, TakesDataModule, CONFIGS / "afx.yaml", given, OneChain)


CONFIGS = Path(__file__).with_name("configs")


def command_line(model: Any, data: Any, defaults: Path, arguments: list[str], cli: Any = None, **more: Any) -> None:
    """Run LightningCLI, or a kind of it, with defaults from a file; what is not there ends it with code 4.

    A config that is not there is looked up beside the defaults and among this room's: `--config split.yaml` works
    anywhere.
    """
    from lightning.pytorch.cli import LightningCLI

    from .datamodules import NoRoom
    from .recordings import NoRecordings

    parser = {command: {"default_config_files": [str(defaults)]} for command in ("fit", "validate")}
    options = {"parser_kwargs": parser, "save_config_kwargs": {"overwrite": True}, **more}
    try:
        found = [find_config(a, defaults.parent) for a in arguments]
        (cli or LightningCLI)(model, data, args=found, **options)
    except (FileNotFoundError, NoRecordings, NoRoom) as error:
        print(f"afx-train: {error}", file=sys.stderr)
        sys.exit(4)


def find_config(argument: str, *folders: Path) -> str:
    """Find a config that is not there in folders, or among this room's; anything else comes back as it is."""
    if argument.endswith(".yaml") and not Path(argument).exists():
        return next((str(f / argument) for f in (*folders, CONFIGS) if (f / argument).exists()), argument)
    return argument


if __name__ == "__main__":
    main()
