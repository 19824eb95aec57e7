"""Training: pairs that know their answer, losses in what is heard, and Lightning's own command line."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import lightning
import numpy as np
import pytest
import soundfile
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal

from afx_live.chain import CANONICAL, ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.effects import load
from afx_live.presets import clip
from afx_live.training import cli, response_losses, shards, sound_loss, tuning
from afx_live.training.cli import main as train
from afx_live.training.features import BANDS, LUFS, SAMPLE_RATE, WINDOW, FeatureExtractor, band_centres, level, window
from afx_live.training.network import SettingsNetwork, amounts
from afx_live.training.priors import draw, is_learned
from afx_live.training.recordings import find, read_mono, split
from afx_live.training.recordings.decoded import decoded, playing
from afx_live.training.stft import PowerSpectra
from afx_live.training.system import SettingsSystem
from afx_live.training.takes import SEGMENT, STYLES, Renderer


@pytest.fixture(scope="module")
def rendered(folder, tmp_path_factory) -> Path:
    """Two shards of two takes each."""
    home = tmp_path_factory.mktemp("takes")
    sounds = decoded(playing(str(folder)), home)
    for i in range(2):
        Renderer(sounds, [3, i]).shard(2).write(home / "shards" / f"{i:02d}")
    return home / "shards"


@pytest.fixture(scope="module")
def takes(rendered) -> shards.Shards:
    return shards.load(rendered, ChainParameters())


def test_draws_are_reproducible_and_leave_effects_out():
    assert draw(np.random.default_rng(5)) == draw(np.random.default_rng(5))
    rng = np.random.default_rng(0)
    on = np.array([[s.enabled for s in draw(rng).effects] for _ in range(400)])
    assert (on.sum(1) == 0).any()
    assert (on.sum(1) == 1).any()
    assert (on.sum(1) == len(CANONICAL)).any()
    for settings in (draw(rng) for _ in range(50)):
        for effect, param in ChainParameters().params:
            if not is_learned(effect, param.name):
                assert settings.effect(effect).values[param.name] == param.default


def test_settling_moves_threshold_and_drive_and_keeps_the_sound():
    """A chain on a signal, and its settled form on the signal levelled after the equaliser, agree."""
    rng = np.random.default_rng(2)
    x = level(np.asarray(signal.lfilter([1], [1, -0.9], rng.standard_normal(SAMPLE_RATE * 2))))
    tone = {"low_shelf_db": 9.0, "peak_3_db": -6.0}
    given = ChainSettings(
        (EffectSettings("equaliser", tone), EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}))
    )
    gain = (
        integrated_loudness(ChainPlayer(ChainSettings(given.effects[:1]), SAMPLE_RATE, 1).play(x[:, None]), SAMPLE_RATE)
        - LUFS
    )
    moved = given.with_effect("compressor", threshold_db=-30.0 - gain)
    settled = ChainSettings(moved.effects, input_gain_db=-gain)
    a, b = (level(ChainPlayer(s, SAMPLE_RATE, 1).play(x[:, None])[:, 0]) for s in (given, settled))
    assert np.abs(a - b).max() < 1e-3 * np.abs(a).max()


def test_curves_match_their_closed_forms():
    rng = np.random.default_rng(1)
    effect = load("equaliser")
    values = np.array([p.value(rng.uniform(0.1, 0.9)) for p in effect.params])
    curve = response_losses.equaliser_curve(torch.from_numpy(values[None]))[0].numpy()
    coef = effect.design(float(SAMPLE_RATE), *values)
    sections = np.array(coef).reshape(6, 5)
    sections = np.insert(sections, 3, 1.0, axis=1)
    _, h = signal.sosfreqz(sections, band_centres().numpy(), fs=SAMPLE_RATE)
    np.testing.assert_allclose(curve, 20 * np.log10(np.abs(h)), atol=1e-5)
    static = response_losses.compressor_curve(torch.tensor([[-20.0, 4.0, 10.0, 100.0, 0.1, 0.0]]))[0]
    assert float(static[-1]) == pytest.approx(-15.0, abs=0.02)
    assert float(static[0]) == 0.0


def test_losses_are_zero_at_the_truth_and_differentiable():
    chain = ChainParameters(CANONICAL)
    rng = np.random.default_rng(3)
    true = torch.from_numpy(np.stack([chain.vector(draw(rng, CANONICAL)) for _ in range(4)])).float()
    assert float(response_losses.errors(chain, true, true).abs().max()) < 1e-5
    moved = (true * 1.05).requires_grad_()
    response_losses.errors(chain, moved, true).sum().backward()
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
    learned = [is_learned(e, p.name) for e, p in chain.params]
    assert (moved.grad[:, learned].abs().sum(0) > 0).all()


@pytest.mark.slow
def test_the_front_end_hears_level_free_numbers_of_silence_and_noise():
    front_end = FeatureExtractor()
    x = torch.stack([torch.zeros(WINDOW), 0.1 * torch.randn(WINDOW, generator=torch.manual_seed(0))])
    assert torch.isfinite(front_end(x)).all()
    spans = [len(load(e).params) for e in CANONICAL]
    assert sum(p.numel() for p in SettingsNetwork(spans).parameters()) < 2_000_000


@pytest.mark.parametrize(("size", "hop"), [(2048, 512), (1024, 32), (64, 64)])
def test_power_spectra_are_those_of_a_transform_however_they_are_made(size, hop):
    spectra, x = PowerSpectra(size, hop), torch.randn(2, 5003, generator=torch.manual_seed(1))
    window = np.hanning(size + 1)[:-1]
    frames = sliding_window_view(x.numpy(), size, 1)[:, ::hop] * (window / np.sqrt(np.square(window).sum()))
    expected = np.square(np.abs(np.fft.rfft(frames))).swapaxes(1, 2)
    for power in (spectra(x), spectra.by_products(x)):
        np.testing.assert_allclose(power, expected, rtol=1e-4, atol=1e-6)


# --- takes and pairs ------------------------------------------------------------------------------------


def test_decoded_recordings_are_the_recordings(folder, tmp_path):
    recordings = find(folder)
    sounds = decoded(recordings, tmp_path)
    for i, recording in enumerate(recordings):
        wanted = read_mono(recording, 2.0, 1.0, SAMPLE_RATE)
        np.testing.assert_allclose(sounds.read(i, 2 * SAMPLE_RATE, SAMPLE_RATE), wanted, atol=1e-3)
    assert sorted(i for groups in sounds.groups.values() for g in groups for i in g) == list(range(len(recordings)))


def test_a_manifest_says_which_recordings_belong_together(folder, tmp_path):
    (tmp_path / "speech").mkdir()
    for name in ("voice_0.flac", "voice_1.flac"):
        shutil.copy(folder / name, tmp_path / "speech" / name)
    shutil.copytree(tmp_path / "speech", tmp_path / "rooms")
    (tmp_path / "MANIFEST.csv").write_text("path,group\nspeech/voice_0.flac,one\nspeech/voice_1.flac,one\n")
    assert [(r.group, r.kind) for r in playing(str(tmp_path))] == [("one", "speech")] * 2


@pytest.mark.slow
def test_takes_are_reproducible_whole_or_not_there(rendered, folder, tmp_path):
    again = Renderer(decoded(playing(str(folder)), tmp_path), [3, 1]).shard(2)
    np.testing.assert_array_equal(np.load(rendered / "01" / "clips.npy"), np.array(again.clips, np.float32))
    assert not list(rendered.glob(".*"))


@pytest.mark.slow
def test_a_row_is_a_chain_and_two_inputs_that_its_answers_belong_to(takes):
    """Where f is nothing, input and answer are the same sound."""
    assert len(takes) == 4 * STYLES
    on, corruption_db = takes.rows["on"], np.abs(takes.rows["corruption_db"]).max(1) > 0.0
    for row in np.flatnonzero(~corruption_db):
        for name in ("same", "other"):
            given, answer = (takes.segment(row, takes.rows[f"{name}_{k}"][row]) for k in ("input", "answer"))
            assert given.shape == answer.shape == (SEGMENT,)
            if not on[row].any() and takes.rows["on_certain"][row].all():
                np.testing.assert_allclose(given, answer, atol=2e-4)


@pytest.mark.slow
def test_batches_hold_what_is_asked_for(takes):
    pairs_of = shards.Pairs(takes, 1, masked=1.0)
    batch = pairs_of.batch(np.arange(len(takes)), True)
    assert batch.given.shape == batch.answer.shape == (len(takes), SEGMENT)
    assert batch.allowed.any(1).all()
    assert not batch.allowed.all()
    assert ((batch.heard >= 1) & (batch.heard <= 5)).all()
    assert all(torch.isfinite(part).all() for part in batch)
    assert pairs_of.batch(np.arange(4), False).given.shape == (4, 0)
    power = 10 ** (batch.input[:, :BANDS] / 10) * response_losses.band_loudness()
    louder = (power * 10 ** (batch.curve / 10)).sum(1) / power.sum(1)
    np.testing.assert_allclose(louder, 1.0, atol=1e-3)  # curves leave the input's loudness as it is


def test_colouring_numbers_is_filtering_sound():
    """What `Pairs` adds to the statistics is what a filter does to those of a real clip."""
    x, rate = soundfile.read(clip("guitar"))
    x = np.resize(x, WINDOW) if rate == SAMPLE_RATE else window(signal.resample_poly(x, SAMPLE_RATE, rate))
    tone = ChainSettings((EffectSettings("equaliser", {"low_shelf_db": 5.0, "peak_3_db": -6.0, "high_shelf_db": 3.0}),))
    values = ChainParameters(("equaliser",)).vector(tone)
    curve = response_losses.equaliser_curve(torch.from_numpy(values[None])).numpy()
    y = ChainPlayer(tone, SAMPLE_RATE, 1).play(x[:, None])[:, 0]
    before, after = FeatureExtractor()(torch.from_numpy(np.stack([x, y]).astype(np.float32))).numpy()
    moved = shards._coloured(before[None], curve)[0]
    assert np.abs(moved - after)[:BANDS].mean() < 0.3
    assert np.abs(moved - after)[: 5 * BANDS].mean() < 0.2 * np.abs(curve).mean()


# --- sound ----------------------------------------------------------------------------------------------


def voice(frames: int = SEGMENT, count: int = 1) -> torch.Tensor:
    x, rate = soundfile.read(clip("voice"))
    x = level(signal.resample_poly(x, SAMPLE_RATE, rate))
    return torch.from_numpy(np.stack([x[i * frames : (i + 1) * frames] for i in range(count)])).float()


def test_sounds_are_brought_to_one_loudness():
    noise = 0.1 * torch.randn(1, SEGMENT, generator=torch.manual_seed(1))
    for y in sound_loss.levelled(torch.cat([noise, 0.01 * noise])).double().numpy():
        assert integrated_loudness(y, SAMPLE_RATE) == pytest.approx(LUFS, abs=0.3)


def test_what_is_trained_plays_what_the_live_code_plays():
    """Compressor, distortion and reverb at an amount, through torch and through the player: the same samples."""
    rng, chain, x = np.random.default_rng(1), ChainParameters(CANONICAL), voice()
    settings, amount = draw(rng, ("compressor", "distortion", "reverb")), 0.6
    values = torch.from_numpy(chain.vector(settings)[None]).float()
    how = torch.tensor([[0.0, amount, amount, amount]])
    y = sound_loss.played(chain, x, torch.zeros(1, BANDS), torch.zeros(1, BANDS), values, how)
    z = ChainPlayer(settings.scaled(amount), SAMPLE_RATE, 1).play(x.double().numpy().T)[:, 0]
    np.testing.assert_allclose(y[0].numpy(), z, atol=2e-5)


@pytest.mark.slow
def test_an_equaliser_is_its_curve_and_keeps_the_loudness():
    x, hz = voice(), band_centres()
    curve = (6.0 * torch.sin(torch.log(hz / 200.0)))[None]
    average = FeatureExtractor()(torch.from_numpy(np.resize(x.numpy(), WINDOW))[None])[:, :BANDS]
    y = sound_loss.played(
        ChainParameters(CANONICAL), x, average, curve, torch.zeros(1, 34), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    )
    shown = FeatureExtractor()(torch.from_numpy(np.resize(y.numpy(), WINDOW))[None])[:, :BANDS] - average
    wanted = curve - response_losses.louder_by(average, curve)[:, None]
    heard = average > average.max() - 50.0  # what is far below the rest is the front end's own floor
    assert (shown - wanted)[heard].abs().mean() < 0.6


def test_amounts_reach_none_and_whole():
    logits = torch.tensor([-20.0, -2.5, 0.0, 2.5, 20.0])
    np.testing.assert_allclose(amounts(logits), [0.0, 0.0, 0.5, 1.0, 1.0], atol=1e-6)
    explored = sound_loss.explored(logits[None].expand(4000, 5), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]))
    assert (explored[:, 4] == 0.0).all()
    assert 0.8 < (explored[:, 0] == 0.0).float().mean() < 0.95  # what is off is tried now and then


@pytest.mark.slow
def test_gradients_of_the_sound_reach_all_that_is_predicted_and_are_held(takes):
    system = SettingsSystem(dropout=0.0, noise=0.0)
    system.predictor.encoder.normalise_by(torch.from_numpy(takes.clips))
    batch = shards.Pairs(takes, 1, masked=0.0).batch(np.arange(8), True)
    answer = system._answer(batch)
    for part in answer:
        part.retain_grad()
    total, figures = sound_loss.by_sound(answer, system.chain, system.values, batch, 0.3)
    total.backward()
    for name in ("unit", "amount", "curve"):
        grad = getattr(answer, name).grad
        assert torch.isfinite(grad).all()
        assert (grad != 0.0).any()
    squares = [getattr(answer, n).grad.square().flatten(1).sum(1) for n in ("unit", "amount", "curve")]
    norms = torch.stack(squares).sum(0).sqrt()
    assert norms.max() <= 0.3 / 8 + 1e-6
    assert set(figures) >= {"share", "error", "nothing"}


@pytest.mark.slow
def test_tuning_moves_what_it_may_towards_the_sound_and_nothing_else(takes):
    system = SettingsSystem(dropout=0.0, noise=0.0)
    system.predictor.encoder.normalise_by(torch.from_numpy(takes.clips))
    before = {k: v.clone() for k, v in system.state_dict().items()}
    errors = tuning.tune(system, takes, ["reverb", "distortion"], steps=6)
    assert len(errors) == 6
    assert np.isfinite(errors).all()
    moved = [k for k, v in system.state_dict().items() if not torch.equal(v, before[k])]
    assert moved == ["predictor.controller.rest.2.weight", "predictor.controller.rest.2.bias"]
    chain, bias = system.chain, system.state_dict()[moved[1]] - before[moved[1]]
    offset = len(chain.effects[0].params)  # the equaliser's bands come from elsewhere
    for effect in ("compressor", "distortion", "reverb"):
        columns = chain.columns(effect)
        part = bias[columns.start - offset : columns.stop - offset]
        assert bool((part != 0.0).any()) is (effect != "compressor")
    with pytest.raises(ValueError, match="equaliser"):
        tuning.tune(system, takes, ["equaliser"], steps=1)


@pytest.mark.slow
def test_a_batch_in_which_every_amount_is_none_does_no_harm(takes, monkeypatch):
    monkeypatch.setattr(sound_loss, "EXPLORED", 0.0)
    system = SettingsSystem(dropout=0.0, noise=0.0)
    system.predictor.encoder.normalise_by(torch.from_numpy(takes.clips))
    batch = shards.Pairs(takes, 1).batch(np.arange(4), True)
    answer = system._answer(batch)
    answer = answer._replace(amount=answer.amount - 50.0)
    total, _ = sound_loss.by_sound(answer, system.chain, system.values, batch, 0.3)
    total.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in system.parameters())


def test_gradients_that_are_not_finite_count_as_none():
    rows, norm = sound_loss.clipped([torch.tensor([[3.0, 4.0], [torch.nan, 1.0], [0.3, 0.4]])], 1.0)
    np.testing.assert_allclose(rows[0], [[0.6, 0.8], [0.0, 0.0], [0.3, 0.4]], atol=1e-6)
    assert norm[0] == 5.0


@pytest.mark.slow
def test_a_small_batch_is_learned_by_heart(takes):
    torch.manual_seed(0)
    system = SettingsSystem(dropout=0.0, noise=0.0)
    batch = shards.Pairs(takes, seed=1).batch(np.arange(len(takes)), False)
    system.predictor.encoder.normalise_by(torch.from_numpy(takes.clips))
    optimiser = torch.optim.Adam(system.parameters(), 1e-3)
    history = []
    for _ in range(150):
        loss = system._losses(system._answer(batch), batch)["loss"]
        history.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert history[-1] < 0.4 * history[0]


# --- the command line -----------------------------------------------------------------------------------


def test_a_checkpoint_to_tune_that_is_not_there_ends_with_code_4(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "none.ckpt", "--takes", ".", "-o", "new.ckpt"])
    assert ended.value.code == 4
    assert "none.ckpt is not there" in capsys.readouterr().err


def _fit(folder: Path, cache: Path, home: Path, *more: str) -> subprocess.CompletedProcess:
    words = [
        sys.executable, "-m", "afx_live.training.cli", "fit", "--data.folder", str(folder), "--data.first", "4",
        "--data.validation_takes", "2", "--data.batch_size", "8", "--data.sound_size", "2", "--data.sound_from", "3",
        "--data.cache", str(cache), "--data.workers", "1", "--trainer.val_check_interval", "3",
        "--trainer.enable_progress_bar", "false", *more,
    ]  # fmt: skip
    return subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_fit_logs_keeps_checkpoints_and_goes_on_where_it_stopped(folder, tmp_path):
    cache = tmp_path / "cache"
    done = _fit(folder, cache, tmp_path, "--trainer.max_steps", "6")
    assert done.returncode == 0, done.stderr[-2000:]
    run = tmp_path / "runs" / "afx" / "version_0"
    with open(run / "metrics.csv") as file:
        assert any(row.get("sound/share") for row in csv.DictReader(file))
    last = run / "checkpoints" / "last.ckpt"
    SettingsSystem.load_from_checkpoint(last, weights_only=True)
    again = _fit(folder, cache, tmp_path, "--trainer.max_steps", "9", "--ckpt_path", str(last))
    assert again.returncode == 0, again.stderr[-2000:]
    resumed = torch.load(tmp_path / "runs/afx/version_1/checkpoints/last.ckpt", weights_only=True)
    assert resumed["global_step"] == 9


@pytest.mark.slow
def test_two_processes_train_together(folder, tmp_path):
    words = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_steps", "6")
    done = _fit(folder, tmp_path / "cache", tmp_path, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "MEMBER: 2/2" in done.stderr


def test_help_names_every_command(capsys):
    for words, code in (["--help"], 0), ([], 2), (["train"], 2):
        with pytest.raises(SystemExit) as ended:
            train(words)
        assert ended.value.code == code
        said = capsys.readouterr()
        assert all(command in said.out + said.err for command in ("gather", "fit", "validate"))


@pytest.mark.slow
def test_a_folder_without_audio_is_refused_with_code_4(tmp_path):
    done = _fit(tmp_path, tmp_path / "cache", tmp_path)
    assert done.returncode == 4
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_checkpoints_say_what_they_are(tmp_path):
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=0)
    trainer.strategy.connect(SettingsSystem(controller=64))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    system = SettingsSystem.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert system.hparams["controller"] == 64


def test_splits_keep_whole_families_out(folder):
    train, held_out = split(find(folder), ("voice_*",))
    assert {r.path.stem for r in held_out} == {"voice_0", "voice_1"}
    assert len(train) == 4
