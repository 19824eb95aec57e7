"""Export: what is written is the model, and what is not is refused by name."""

import json
import shutil
import time
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from afx_live.export.cli import main
from afx_live.export.model.proof import ProofError, check
from afx_live.export.model.write import write
from afx_live.matching import MatchModel, ModelError, read_clip
from afx_live.presets import clip
from afx_live.training.system import SettingsSystem

pytestmark = pytest.mark.slow  # exporting takes half a minute


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained model with a plausible normalisation."""
    torch.manual_seed(1)
    system = SettingsSystem()
    system.predictor.encoder.mean.normal_(0.0, 3.0)
    system.predictor.encoder.scale.fill_(5.0)
    for weights in system.predictor.controller.tone.norm.parameters():  # as a training would move them apart
        weights.data.normal_(1.0, 0.1)
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=0)
    trainer.strategy.connect(system)
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def model(checkpoint, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    write(checkpoint, folder, "small", "Apache-2.0")
    return folder


def test_a_written_model_proves_itself_and_loads(model, capsys):
    main(["--check", str(model)])
    assert "proof clips agree" in capsys.readouterr().out
    predictor = MatchModel(model)
    assert predictor.name == "small"
    heard = read_clip(clip("voice"))
    described = predictor.analyse(heard.excerpts, heard.sample_rate)
    prediction = predictor.predict(described, [described])
    assert prediction.unit.shape == (len(predictor.chain.params),)
    assert ((prediction.unit >= 0) & (prediction.unit <= 1)).all()


def test_a_training_can_start_from_a_model_folder(model, checkpoint):
    trained = SettingsSystem.load_from_checkpoint(checkpoint, weights_only=True).state_dict()
    for name, weights in SettingsSystem(start=str(model)).state_dict().items():
        torch.testing.assert_close(weights, trained[name], rtol=0.0, atol=0.0)
    with pytest.raises(ValueError, match="another network"):
        SettingsSystem(controller=64, start=str(model))


def test_the_spec_says_all_that_a_host_needs(model):
    spec = json.loads((model / "model.json").read_text())
    assert {"format", "version", "chain", "sample_rate", "window_s", "lufs", "decision", "licence", "sha256"} <= set(
        spec
    )
    assert all({"name", "low", "high", "default", "curve"} <= set(p) for step in spec["chain"] for p in step["params"])


def test_torch_and_onnxruntime_agree_on_real_sound(model, checkpoint):
    system = SettingsSystem.load_from_checkpoint(checkpoint, weights_only=True).eval()
    predictor = MatchModel(model)
    for name in ("voice", "guitar", "drums"):
        heard = read_clip(clip(name))
        x = np.resize(heard.excerpts.mean(1), 240000).astype(np.float32)
        with torch.no_grad():
            statistics, embedding = system.predictor.encoder(torch.from_numpy(x)[None])
        got = predictor._encoder.run(None, {"waveform": x[None]})
        np.testing.assert_allclose(got[0], statistics, atol=2e-3)
        np.testing.assert_allclose(got[1], embedding, atol=2e-3)


def test_a_look_at_5_s_costs_at_most_50_ms_on_one_thread(model):
    predictor = MatchModel(model)
    x = (0.05 * np.random.default_rng(0).standard_normal((1, 240000))).astype(np.float32)
    times = []
    for _ in range(40):
        start = time.perf_counter()
        predictor._encoder.run(None, {"waveform": x})
        times.append(time.perf_counter() - start)
    assert min(times) < 0.050


def test_an_altered_graph_fails_the_proof(model, tmp_path):
    folder = tmp_path / "altered"
    shutil.copytree(model, folder)
    with np.load(folder / "proof.npz") as proof:
        arrays = {**proof, "unit": proof["unit"] + 0.1}
    np.savez(folder / "proof.npz", **arrays)
    with pytest.raises(ProofError, match=r"unit differs by 0\.1"):
        check(folder)
    with pytest.raises(SystemExit) as stop:
        main(["--check", str(folder)])
    assert stop.value.code == 1
    with pytest.raises(ModelError, match=r"proof\.npz is not the file"):
        MatchModel(folder)


def test_nothing_is_overwritten_and_rubbish_is_refused(model, checkpoint, tmp_path):
    with pytest.raises(SystemExit) as stop:
        main(["--checkpoint", str(checkpoint), "-o", str(model)])
    assert stop.value.code == 5
    rubbish = tmp_path / "rubbish.ckpt"
    rubbish.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="not a checkpoint"):
        write(rubbish, tmp_path / "out", "x", "CC0-1.0")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError):
        check(tmp_path)


def test_cuda_gives_the_same_numbers_or_says_that_it_is_not_there(model):
    try:
        said = check(model, "cuda")
    except ValueError as error:
        said = str(error)
    assert any(text in said for text in ("agree", "no cuda here", "could not start cuda"))
