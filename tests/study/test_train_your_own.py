"""docs/train_your_own.md is true: its commands parse, its Python compiles, and in a short form it trains a model."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from afx_live.export.cli import parser as export_parser
from afx_live.presets import clip
from afx_live.realtime.cli.parser import parser as live_parser
from afx_live.study.cli import parser as study_parser
from afx_live.training import tuning
from afx_live.training.cli import main as train

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "train_your_own.md").read_text(encoding="utf-8")
COMMANDS = [re.sub(r" +#.*", "", line.strip()) for line in TEXT.splitlines() if line.startswith("    afx-")]
(PYTHON,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_there_are_commands_of_every_program():
    assert {command.split()[0] for command in COMMANDS} == {"afx-live", "afx-train", "afx-export", "afx-study"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("afx-train")])
def test_a_command_parses(command):
    program, *words = command.split()
    if program == "afx-live" and words[0].startswith("-"):
        words.insert(0, "run")
    parsers = {"afx-live": live_parser, "afx-export": export_parser, "afx-study": study_parser}
    parsers[program]().parse_args(words)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("afx-train")])
def test_a_training_command_parses(command, capsys):
    words = command.split()[1:]
    if words[0] == "gather":
        gather = pytest.importorskip("afx_live.training.recordings.gather.gather", reason="afx-train gather")
        gather.parser().parse_args(words[1:])
        return
    if words[0] == "tune":
        tuning.parser().parse_args(words[1:])
        return
    with pytest.raises(SystemExit) as ended:
        train([*words, "--print_config"])
    assert ended.value.code in (0, None), capsys.readouterr().err


def test_the_python_compiles_and_imports_what_there_is():
    compile(PYTHON, "train_your_own.md", "exec")
    exec("\n".join(line for line in PYTHON.splitlines() if re.match("import|from", line)), {})


def in_short(text: str, *changes: tuple[str, str]) -> str:
    """The text with changes, each of which must be there once or more."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def run(folder, tmp_path) -> Callable[[str], str]:
    """Run a command of the page, or its Python as a script, beside six tiny recordings."""
    shutil.copytree(folder, tmp_path / "recordings")
    for name in ("voice", "guitar_reference"):
        x, rate = soundfile.read(clip(name))
        soundfile.write(tmp_path / f"{name.split('_')[-1]}.wav", x[: 4 * rate], rate)

    def run(command: str) -> str:
        entry = {"afx-live": "realtime.cli.main", "afx-train": "training.cli", "afx-export": "export.cli"}
        if command.startswith("afx-"):
            program, *words = command.split()
            words = ["-m", f"afx_live.{entry[program]}", *words]
        else:
            (tmp_path / "script.py").write_text(command, encoding="utf-8")
            words = ["script.py"]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def command(start: str) -> str:
    return next(c for c in COMMANDS if c.startswith(start))


SMALL = {"first": 2, "validation_takes": 2, "workers": 1, "batch_size": 4, "sound_size": 2, "sound_from": 1}


def plays(tmp_path: Path) -> bool:
    y, rate = soundfile.read(tmp_path / "matched.wav")
    return len(y) == 4 * rate and abs(y).max() > 0.01


@pytest.mark.slow
def test_the_commands_train_a_model_that_plays(run, tmp_path):
    small = " ".join(f"--data.{k} {v}" for k, v in SMALL.items())
    few = f"{small} --data.cache {tmp_path} --trainer.max_steps 2 --trainer.val_check_interval 2"
    run(f"{command('afx-train fit')} {few}")
    takes = max((p for p in tmp_path.glob("*") if [*p.glob("*/rows.npz")]), key=lambda p: len([*p.iterdir()]))
    tune = re.sub(r"--takes \S+", f"--takes {takes} --steps 1", command("afx-train tune"))
    assert "tuned.ckpt" in run(tune)
    run(in_short(command("afx-export --checkpoint"), ("runs/afx/version_0/checkpoints/best.ckpt", "tuned.ckpt")))
    assert "proof clips agree" in run(command("afx-export --check my-model"))
    run(command("afx-live render"))
    assert plays(tmp_path)


@pytest.mark.slow
def test_the_python_trains_a_model_that_plays(run, tmp_path):
    small = ", ".join(f"{k}={v}" for k, v in SMALL.items())
    few = f'TakesDataModule(recordings, {small}, cache="{tmp_path}")'
    short = in_short(PYTHON, ("max_steps=14000", "max_steps=2"), ('interval": 500', 'interval": 2'))
    run(in_short(short, ("TakesDataModule(recordings)", few)))
    assert plays(tmp_path)
