"""Training of a chain that holds an effect of one's own, CONTRIBUTING's tremolo, and has its equaliser anywhere."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal

from afx_live.chain import ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from afx_live.effects import _catalogue
from afx_live.matching import MatchModel, match
from afx_live.presets import clip
from afx_live.training import response_losses, shards, sound_loss
from afx_live.training.cli import main as train
from afx_live.training.features import BANDS, SAMPLE_RATE, level
from afx_live.training.priors import draw
from afx_live.training.recordings.decoded import decoded, playing
from afx_live.training.system import SettingsSystem
from afx_live.training.takes import SEGMENT, STYLES, Renderer
from support.tremolo import register_tremolo

CHAIN = ("tremolo", "compressor", "equaliser")


@pytest.fixture(scope="module", autouse=True)
def tremolo():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_catalogue, "_registered", [])
        register_tremolo()
        yield


@pytest.fixture(scope="module")
def takes(folder, tmp_path_factory) -> shards.Shards:
    home = tmp_path_factory.mktemp("takes")
    Renderer(decoded(playing(str(folder)), home), [3, 0], order=CHAIN).shard(3).write(home / "shards" / "0")
    return shards.load(home / "shards", ChainParameters(CHAIN))


@pytest.fixture(scope="module")
def voice() -> torch.Tensor:
    x, rate = soundfile.read(clip("voice"))
    return torch.from_numpy(level(signal.resample_poly(x, SAMPLE_RATE, rate))[None, :SEGMENT]).float()


@pytest.mark.slow
def test_takes_are_labelled_in_the_chains_order(takes):
    chain, columns = ChainParameters(CHAIN), takes.rows
    assert columns["values"].shape == columns["confidence"].shape == (3 * STYLES, len(chain.params))
    assert columns["on"].shape == (3 * STYLES, 3)
    assert 0 < columns["on"][:, 0].sum() < 3 * STYLES
    batch = shards.Pairs(takes, 1).batch(np.arange(len(takes)), True)
    for i, (_, p) in enumerate(chain.params):
        assert p.low - 1e-4 <= batch.values[:, i].min()
        assert batch.values[:, i].max() <= p.high + 1e-4
    # what was heard of an input before it came to us is undone by the equaliser, wherever that is
    corruption_db = torch.from_numpy(np.abs(columns["corruption_db"]).max(1) > 0.0)
    assert (batch.on[corruption_db, 2] == 1.0).all()


def test_level_of_what_is_in_front_is_taken_off_a_threshold():
    chain, rng = ChainParameters(CHAIN), np.random.default_rng(2)
    values = np.stack([chain.vector(draw(rng, order=CHAIN)) for _ in range(3)])
    moved = shards.level_normalised(chain, values, np.array([0.0, 3.0, -2.0])) - values
    threshold = chain.columns("compressor").start
    np.testing.assert_allclose(moved[:, threshold], [0.0, -3.0, 2.0])
    assert not np.delete(moved, threshold, 1).any()


@pytest.mark.slow
def test_what_is_trained_plays_what_the_live_code_plays(voice):
    """The tremolo makes it quieter, live the input's gain makes up for that: the compressor hears the same level."""
    chain = ChainParameters(CHAIN)
    tremolo = EffectSettings("tremolo", {"rate_hz": 6.0, "depth": 0.9})
    compressor = EffectSettings("compressor", {"threshold_db": -40.0, "ratio": 6.0})
    values = torch.from_numpy(chain.vector(ChainSettings((tremolo, compressor, EffectSettings("equaliser")))))[None]
    flat = torch.zeros(1, BANDS)
    y = sound_loss.played(chain, voice, flat, flat, values.float(), torch.tensor([[1.0, 1.0, 0.0]]))
    x = voice.double().numpy().T
    wet = ChainPlayer(ChainSettings((tremolo,)), SAMPLE_RATE, 1).play(x)
    gain = sound_loss.power(voice) / sound_loss.power(torch.from_numpy(wet.T).float())
    z = ChainPlayer(ChainSettings((compressor,)), SAMPLE_RATE, 1).play(wet * float(gain.sqrt()))
    assert gain > 1.5
    np.testing.assert_allclose(y[0].numpy(), z[:, 0], atol=1e-4)


def test_curve_after_a_compressor_keeps_its_level(voice):
    """Live, level is solved in front of the compressor: what the equaliser behind it adds stays."""
    chain = ChainParameters(CHAIN)
    values = torch.tensor([[p.default for _, p in chain.params]])
    curve, average = torch.full((1, BANDS), 6.0), torch.zeros(1, BANDS)
    for amounts, louder_db in (((0.0, 0.0, 1.0), 0.0), ((0.0, 1.0, 1.0), 6.0)):
        flat, raised = (
            sound_loss.played(chain, voice, average, c, values, torch.tensor([amounts])) for c in (0.0 * curve, curve)
        )
        found = 10.0 * torch.log10(sound_loss.power(raised) / sound_loss.power(flat))
        assert float(found) == pytest.approx(louder_db, abs=0.01)


def test_knobs_of_an_effect_without_a_response_of_its_own_are_judged_evenly_to_the_ear():
    chain = ChainParameters(("tremolo",))
    true = torch.tensor([[5.0, 0.8]])
    octave = torch.tensor([[10.0, 0.8]]), torch.tensor([[2.5, 0.8]])
    up, down = (float(response_losses.errors(chain, p, true)) for p in octave)
    assert up == pytest.approx(down)
    assert up > 0.1
    served = [float(response_losses.serves(chain, torch.tensor([[5.0, d]]), true)) for d in (0.8, 0.5, 0.05)]
    assert served == [1.0, 1.0, 0.0]


@pytest.mark.slow
def test_chain_is_learned_from_a_handful_of_takes(takes):
    torch.manual_seed(0)
    system = SettingsSystem(dropout=0.0, noise=0.0, chain=CHAIN)
    batch = shards.Pairs(takes, 1, masked=0.0).batch(np.arange(len(takes)), False)
    system.predictor.encoder.normalise_by(torch.from_numpy(takes.clips))
    optimiser, history = torch.optim.Adam(system.parameters(), 1e-3), []
    for _ in range(60):
        losses = system._losses(system._answer(batch), batch)
        history.append({k: float(losses[k].detach()) for k in ("tremolo", "curve", "loss")})
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
    for name in ("tremolo", "curve", "loss"):
        assert history[-1][name] < 0.6 * history[0][name], name


@pytest.mark.slow
def test_chain_without_an_equaliser_is_predicted_and_judged(takes):
    system = SettingsSystem(chain=CHAIN[:2])
    full = shards.Pairs(takes, 1).batch(np.arange(4), True)
    count = len(system.chain.params)
    batch = full._replace(
        allowed=full.allowed[:, :2], values=full.values[:, :count], confidence=full.confidence[:, :count],
        on=full.on[:, :2], on_certain=full.on_certain[:, :2],
    )  # fmt: skip
    answer = system._answer(batch)
    assert answer.unit.shape == (4, count)
    assert torch.isfinite(system._losses(answer, batch)["loss"])
    total, _ = sound_loss.by_sound(answer, system.chain, system.values, batch, 1.0)
    assert torch.isfinite(total)


def test_unknown_effect_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        train(["fit", "--data.folder", "recordings", "--model.chain", "[equaliser, flanger]"])
    assert ended.value.code == 2
    assert "'flanger' is not an effect; there are compressor" in capsys.readouterr().err


SCRIPT = """
import importlib, sys
from support.tremolo import register_tremolo

register_tremolo()  # in the renderers' processes, too
if __name__ == "__main__":
    importlib.import_module(sys.argv[1]).main(sys.argv[2:])
"""


@pytest.mark.slow
def test_commands_train_and_export_a_chain_that_plays(folder, tmp_path):
    (tmp_path / "with_tremolo.py").write_text(SCRIPT)

    def run(program: str, *words: object) -> None:
        command = [sys.executable, "with_tremolo.py", f"afx_live.{program}.cli", *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]

    few = {
        "model.chain": f"[{','.join(CHAIN)}]", "model.controller": 64, "model.tone": 16, "data.folder": folder,
        "data.cache": tmp_path / "cache", "data.first": 2, "data.validation_takes": 2, "data.workers": 0,
        "data.batch_size": 4, "data.sound_size": 2, "data.sound_from": 1, "trainer.max_steps": 2,
        "trainer.val_check_interval": 2, "trainer.enable_progress_bar": "false",
    }  # fmt: skip
    run("training", "fit", *(word for key, value in few.items() for word in (f"--{key}", value)))
    (checkpoint,) = Path(tmp_path / "runs").rglob("best.ckpt")
    run("export", "--checkpoint", checkpoint, "-o", "mine")

    model = MatchModel(tmp_path / "mine")
    assert model.chain.order == CHAIN
    (x, rate), (reference, _) = (soundfile.read(clip(name)) for name in ("voice", "voice_reference"))
    found = match(x[: 4 * rate], reference[: 4 * rate], rate, model)
    assert [s.effect for s in found.settings.effects] == list(CHAIN)
    assert found.prediction is not None
    whole = model.settings(found.prediction, [True, False, False], 1.0)
    depth = whole.effect("tremolo").values["depth"]
    y, dry = ChainPlayer(whole, rate, 1).play(x[:, None]), x[:, None]
    np.testing.assert_allclose(np.abs(y).sum(), np.abs(dry).sum() * (1.0 - depth / 2.0), rtol=0.1)
    assert depth > 0.02
