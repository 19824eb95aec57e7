"""Training: pairs that know their answer, losses in what is heard, and Lightning's own command line."""

import csv
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
from afx_live.training import pairs, response_losses
from afx_live.training.features import BANDS, LUFS, SAMPLE_RATE, WINDOW, FeatureExtractor, band_centres
from afx_live.training.network import SettingsNetwork
from afx_live.training.priors import NOT_LEARNED, draw
from afx_live.training.recordings.recordings import find, split
from afx_live.training.response_system import ResponseSystem
from afx_live.training.stft import PowerSpectra


@pytest.fixture(scope="module")
def statistics(folder, tmp_path_factory) -> pairs.Statistics:
    home = pairs.render_statistics(find(folder), tmp_path_factory.mktemp("cache"), takes=4, seed=3, workers=1)
    return pairs.load_statistics(home, 4)


def test_a_take_is_two_stretches_at_the_training_loudness(folder):
    take = pairs.draw_take(find(folder), np.random.default_rng(0))
    for x in (take.a, take.b):
        assert x.shape == (WINDOW,)
        assert abs(integrated_loudness(x, SAMPLE_RATE) - LUFS) < 0.1
    assert not np.array_equal(take.a, take.b)


def test_draws_are_reproducible_and_leave_effects_out():
    assert draw(np.random.default_rng(5)) == draw(np.random.default_rng(5))
    rng = np.random.default_rng(0)
    on = np.array([[s.enabled for s in draw(rng).effects] for _ in range(400)])
    assert (on.sum(1) == 0).any()
    assert (on.sum(1) == 1).any()
    assert (on.sum(1) == len(CANONICAL)).any()
    for settings in (draw(rng) for _ in range(50)):
        for effect, name in NOT_LEARNED:
            assert settings.effect(effect).values[name] == load(effect).param(name).default


def test_rendered_files_are_kept_and_the_same_again(folder, tmp_path):
    recordings = find(folder)[:2]
    home = pairs.render_statistics(recordings, tmp_path, takes=1, seed=3, workers=1)
    (file,) = home.glob("*.npz")
    before = file.stat().st_mtime_ns
    assert pairs.render_statistics(recordings, tmp_path, takes=1, seed=3, workers=1) == home
    assert file.stat().st_mtime_ns == before
    assert pairs.render_statistics(recordings, tmp_path, takes=0, seed=4, workers=1) != home


def test_the_learned_curve_is_what_a_levelled_reference_shows(statistics):
    """f(A) against A, both levelled: the difference is the equaliser's curve less its loudness."""
    chain = ChainParameters(CANONICAL)
    for take, style in np.argwhere(statistics.on[..., 0] & ~statistics.on[..., 1:].any(-1)):
        values = torch.from_numpy(statistics.values[take, style][None])
        curve = response_losses.equaliser_curve(values[:, chain.columns("equaliser")])[0].numpy()
        shown = statistics.wet[take, style, :BANDS] - statistics.dry[take, 0, :BANDS]
        assert np.median(np.abs(shown - (curve - statistics.tone[take, style]))) < 0.6


def test_settling_moves_threshold_and_drive_and_keeps_the_sound():
    """A chain on a signal, and its settled form on the signal levelled after the equaliser, agree."""
    rng = np.random.default_rng(2)
    x = pairs.level(np.asarray(signal.lfilter([1], [1, -0.9], rng.standard_normal(SAMPLE_RATE * 2))))
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
    a, b = (pairs.level(ChainPlayer(s, SAMPLE_RATE, 1).play(x[:, None])[:, 0]) for s in (given, settled))
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
    true = torch.from_numpy(np.stack([pairs.vector(chain, draw(rng, CANONICAL)) for _ in range(4)])).float()
    assert float(response_losses.errors(chain, true, true).abs().max()) < 1e-5
    moved = (true * 1.05).requires_grad_()
    response_losses.errors(chain, moved, true).sum().backward()
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
    learned = [(e, p.name) not in NOT_LEARNED for e, p in chain.params]
    assert (moved.grad[:, learned].abs().sum(0) > 0).all()


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


def test_colouring_numbers_is_filtering_sound():
    """What `Pairs` adds to the statistics is what a filter does to those of a real clip."""
    x, rate = soundfile.read(clip("guitar"))
    x = np.resize(x, WINDOW) if rate == SAMPLE_RATE else pairs.window(signal.resample_poly(x, SAMPLE_RATE, rate))
    tone = ChainSettings((EffectSettings("equaliser", {"low_shelf_db": 5.0, "peak_3_db": -6.0, "high_shelf_db": 3.0}),))
    curve = response_losses.equaliser_curve(
        torch.from_numpy(pairs.vector(ChainParameters(("equaliser",)), tone)[None])
    ).numpy()
    y = ChainPlayer(tone, SAMPLE_RATE, 1).play(x[:, None])[:, 0]
    before, after = FeatureExtractor()(torch.from_numpy(np.stack([x, y]).astype(np.float32))).numpy()
    moved = pairs._coloured(before[None], curve)[0]
    spectra = 5 * BANDS
    assert np.abs(moved - after)[:BANDS].mean() < 0.3
    assert np.abs(moved - after)[:spectra].mean() < 0.2 * np.abs(curve).mean()


def test_a_small_batch_is_learned_by_heart(statistics):
    torch.manual_seed(0)
    system = ResponseSystem(dropout=0.0, noise=0.0)
    batch = pairs.Pairs(statistics, seed=1).__getitems__(range(24))
    system.predictor.encoder.normalise_by(torch.from_numpy(statistics.wet.reshape(-1, statistics.wet.shape[-1])))
    optimiser = torch.optim.Adam(system.parameters(), 1e-3)
    history = []
    for _ in range(150):
        loss = system._losses(batch)["loss"]
        history.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert history[-1] < 0.4 * history[0]


def _fit(folder: Path, cache: Path, home: Path, *more: str) -> subprocess.CompletedProcess:
    words = [
        sys.executable,
        "-m",
        "afx_live.training.cli",
        "fit",
        "--data.folder",
        str(folder),
        "--data.takes",
        "4",
        "--data.validation_takes",
        "2",
        "--data.batch_size",
        "8",
        "--data.cache",
        str(cache),
        "--data.workers",
        "1",
        "--trainer.accelerator",
        "cpu",
        "--trainer.enable_progress_bar",
        "false",
        *more,
    ]
    return subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=400)


def test_fit_logs_keeps_checkpoints_and_goes_on_where_it_stopped(folder, tmp_path):
    cache = tmp_path / "cache"
    done = _fit(folder, cache, tmp_path, "--trainer.max_epochs", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    run = tmp_path / "runs" / "afx" / "version_0"
    with open(run / "metrics.csv") as file:
        assert any(row.get("validation/loss") for row in csv.DictReader(file))
    last = run / "checkpoints" / "last.ckpt"
    again = _fit(folder, cache, tmp_path, "--trainer.max_epochs", "2", "--ckpt_path", str(last))
    assert again.returncode == 0, again.stderr[-2000:]
    resumed = torch.load(tmp_path / "runs/afx/version_1/checkpoints/last.ckpt", weights_only=True)
    assert resumed["epoch"] == 1


def test_two_processes_train_together(folder, tmp_path):
    words = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1")
    done = _fit(folder, tmp_path / "cache", tmp_path, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "MEMBER: 2/2" in done.stderr


def test_a_folder_without_audio_is_refused_with_code_4(tmp_path):
    done = _fit(tmp_path, tmp_path / "cache", tmp_path)
    assert done.returncode == 4
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_checkpoints_say_what_they_are(tmp_path, statistics):
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=0)
    trainer.strategy.connect(ResponseSystem(controller=64))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    system = ResponseSystem.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert system.hparams["controller"] == 64


def test_splits_keep_whole_families_out(folder):
    train, held_out = split(find(folder), ("voice_*",))
    assert {r.path.stem for r in held_out} == {"voice_0", "voice_1"}
    assert len(train) == 4
