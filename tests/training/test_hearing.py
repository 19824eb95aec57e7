"""Training by ear: recursions, the chain in torch against its kernels, pairs drawn anew, and steps that learn."""

import ctypes
import subprocess
from itertools import count
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch

from afx_live.chain import CANONICAL, ChainParameters, ChainSettings, EffectSettings, play_clip
from afx_live.dsp.loudness import integrated_loudness
from afx_live.effects import load
from afx_live.matching import fit_curve
from afx_live.presets import clip as bundled
from afx_live.study.metrics.audio import log_mel_error, stft_error
from afx_live.training import priors, synthetic
from afx_live.training.by_sound import pair_sampler, recursive_kernels, system, torch_chain
from afx_live.training.by_sound.bank import SPEEDS, Bank, make_bank
from afx_live.training.features import LUFS, SAMPLE_RATE, WINDOW, band_centres
from afx_live.training.other_effects import compressors, distortions
from afx_live.training.pairs import level, window
from afx_live.training.recordings.recordings import find, read_mono
from support.jack import need

RATE = float(SAMPLE_RATE)


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    import soundfile

    x, rate = soundfile.read(bundled("voice"))
    assert rate == SAMPLE_RATE
    return level(window(x if x.ndim == 1 else x.mean(1)))


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.float32))[None]


def gradient(x: torch.Tensor) -> torch.Tensor:
    assert x.grad is not None
    return x.grad


# --- recursions: CUDA's source is C, so a C compiler runs it where there is no GPU ------------------------


@pytest.fixture(scope="module")
def cuda(tmp_path_factory):
    """Compile the CUDA source for this processor; call(name, rows, *arguments) runs a kernel's rows one by one."""
    compiler, home = need("cc", "gcc"), tmp_path_factory.mktemp("cuda")
    grid = "struct { int x, y, z; } blockIdx, threadIdx, blockDim = {1, 1, 1}, gridDim = {1, 1, 1};"
    source = recursive_kernels.SOURCE.replace('extern "C" __global__', "").replace("__device__", "static")
    (home / "k.c").write_text(
        f"#include <math.h>\n#include <stdbool.h>\n{grid}\nvoid row(int n) {{ blockIdx.x = n; }}\n{source}"
    )
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", home / "k.so", home / "k.c", "-lm"], check=True)
    library = ctypes.CDLL(str(home / "k.so"))

    def call(name, rows, *arguments):
        for n in range(rows):
            library.row(n)
            getattr(library, name)(
                *(a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else a for a in arguments)
            )

    return call


def test_both_sides_follow_a_gain_alike(cuda):
    rng = np.random.default_rng(0)
    aim = (0.1 * rng.standard_normal((3, 5003)).cumsum(1)).astype(np.float32)
    attack, release = np.array([0.9, 0.99, 0.5]), np.array([0.99, 0.9, 0.999])
    theirs, grad = np.zeros_like(aim), rng.standard_normal(aim.shape).astype(np.float32)
    cuda("smooth", 3, aim, attack, release, theirs, 5003, 3)
    inputs = [torch.from_numpy(a.copy()).requires_grad_() for a in (aim, attack, release)]
    ours = recursive_kernels.smooth(*inputs)
    np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-6)
    ours.backward(torch.from_numpy(grad))
    found = [np.zeros_like(a) for a in (aim, attack, release)]
    cuda("smooth_back", 3, grad, aim, theirs, attack, release, *found, 5003, 3)
    for tensor_, there in zip(inputs, found, strict=True):
        np.testing.assert_allclose(gradient(tensor_).numpy(), there, rtol=1e-5, atol=1e-5)


def test_smoothing_has_the_gradient_of_its_definition():
    generator = torch.Generator().manual_seed(1)
    aim = torch.randn(2, 60, generator=generator)
    attack, release = torch.tensor([0.9, 0.6], dtype=torch.double), torch.tensor([0.7, 0.95], dtype=torch.double)

    def plain(aim, attack, release):
        s, rows = torch.zeros(2, dtype=torch.double), []
        for v in aim.double().unbind(1):
            s = v + torch.where(s > v, attack, release) * (s - v)
            rows.append(s)
        return torch.stack(rows, 1)

    weight = torch.randn(2, 60, generator=generator)
    grads = []
    for how in (recursive_kernels.smooth, plain):
        inputs = [t.clone().requires_grad_() for t in (aim, attack, release)]
        (how(*inputs) * weight).sum().backward()
        grads.append([gradient(t) for t in inputs])
    for ours, exact in zip(*grads, strict=True):
        torch.testing.assert_close(ours.double(), exact.double(), atol=1e-5, rtol=1e-4)


def test_both_sides_play_laws_alike(cuda):
    rng = np.random.default_rng(2)
    x = (0.1 * rng.standard_normal((24, 8000))).astype(np.float32)
    table = np.array([compressors.arguments(RATE, **compressors.numbers(rng)) for _ in x])
    theirs = np.full_like(x, np.nan)
    cuda("gains", len(x), x, table, theirs, 8000, len(x))
    np.testing.assert_allclose(recursive_kernels.gains(torch.from_numpy(x), table).numpy(), theirs, atol=1e-4)

    drawn = [distortions.numbers(rng) for _ in x]
    kinds = [*distortions.CURVES.values()]
    table = np.array(
        [
            (kinds[i % len(kinds)], d["shape"], 10 ** (d["drive_db"] / 20), d["bias"], d["follow"], 0.999, d["hold"])
            for i, d in enumerate(drawn)
        ]
    )
    table[-1, 6] = 3.3  # one that holds samples, whatever was drawn
    theirs = np.full_like(x, np.nan)
    for memory in (0, 1):
        cuda("bend", len(x), x, table, theirs, 8000, len(x), memory)
    np.testing.assert_allclose(recursive_kernels.bend(torch.from_numpy(x), table).numpy(), theirs, atol=1e-5)


# --- the chain, against the kernels that play live ---------------------------------------------------------


def drawn(effect: str, seed: int) -> tuple[EffectSettings, torch.Tensor]:
    step = priors.draw(np.random.default_rng(seed), (effect,)).effect(effect)
    return step, torch.tensor([[step.values[p.name] for p in load(effect).params]], dtype=torch.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("effect", "most"), [("compressor", 1e-3), ("reverb", 1e-3), ("distortion", 0.25)])
def test_an_effect_sounds_as_its_kernel_does(effect, most, seed, voice):
    """The distortion's all-passes turn phases, which short windows see; it must still be much nearer than nothing."""
    step, values = drawn(effect, seed)
    wanted, whole = play_clip(ChainSettings((step,)), voice, RATE), torch.ones(1)
    if effect == "compressor":
        played = torch_chain.compressed(tensor(voice), values, whole)
    elif effect == "distortion":
        played = torch_chain.distorted(tensor(voice), values, whole)
    else:
        played = torch_chain.reverberated(tensor(voice), torch_chain.room_response(values), values[:, -1])
    error = stft_error(played[0].double().numpy(), wanted, RATE)
    assert error < most
    assert error < 0.6 * stft_error(voice, wanted, RATE)


def test_a_share_of_nothing_changes_nothing(voice):
    x, none = tensor(voice), torch.zeros(1)
    player = torch_chain.Player()
    values = torch.tensor([[p.default for _, p in player.chain.params]])
    y = player(x, torch.full((1, 64), 6.0), values, torch.zeros(1, 4))
    torch.testing.assert_close(y, x, atol=2e-3, rtol=0.0)
    torch.testing.assert_close(torch_chain.compressed(x, drawn("compressor", 0)[1], none), x)


def test_level_is_the_loudness_of_bs1770(voice):
    assert float(torch_chain.Level().loudness(tensor(3.0 * voice))) == pytest.approx(
        integrated_loudness(3.0 * voice, SAMPLE_RATE), abs=0.02
    )


def test_an_equaliser_is_its_curve(voice):
    effect = load("equaliser")
    curve = 6.0 * np.tanh(np.linspace(-2.0, 2.0, 64))
    start = np.array([p.unit(p.default) for p in effect.params])
    unit = fit_curve(curve, band_centres().double().numpy(), np.ones(64), start, RATE)
    values = {p.name: p.clip(p.value(u)) for p, u in zip(effect.params, unit, strict=True)}
    real = level(play_clip(ChainSettings((EffectSettings("equaliser", values),)), voice, RATE))
    drawn_ = torch_chain.filtered(tensor(voice), torch_chain.Curves()(torch.from_numpy(curve.astype(np.float32))[None]))
    ours = level(drawn_[0].double().numpy())
    assert stft_error(ours, real, RATE) < 0.15 < 0.5 * stft_error(voice, real, RATE)


def test_distance_is_the_studys(voice):
    wet = level(play_clip(ChainSettings((drawn("reverb", 1)[0],)), voice, RATE))
    spectral, mel = torch_chain.Distance()(tensor(voice), tensor(wet))
    assert float(spectral) == pytest.approx(stft_error(voice, wet, RATE), rel=1e-3)
    assert float(mel) * 20.0 / np.log(10.0) == pytest.approx(log_mel_error(voice, wet, RATE), rel=0.4)


def test_gradients_reach_what_is_predicted(voice):
    player, distance = torch_chain.Player(), torch_chain.Distance()
    values = torch.tensor([[p.default for _, p in player.chain.params]]).requires_grad_()
    curve, share = torch.zeros(1, 64).requires_grad_(), torch.ones(1, 4)
    x = tensor(voice)
    distance(player(x, curve, values, share), torch_chain.Level()(x))[0].sum().backward()
    moved = {f"{e}.{p.name}" for (e, p), g in zip(player.chain.params, gradient(values)[0], strict=True) if g != 0.0}
    assert {"compressor.threshold_db", "compressor.release_ms", "distortion.drive_db", "reverb.mix"} <= moved
    assert not any(name.startswith("equaliser") for name in moved)  # its curve is what is played
    assert gradient(curve).abs().sum() > 0.0


# --- pairs, and training ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bank(folder) -> Bank:
    return make_bank(find(folder), 1, workers=1, filters=24, rooms=8, amplifiers=8)


def test_a_bank_is_what_its_numbers_say(bank, folder):
    recording = find(folder)[0]
    first = read_mono(recording, 0.0, recording.seconds, SAMPLE_RATE)
    middle = len(SPEEDS) // 2
    begin, length = bank.begin[0, middle], bank.length[0, middle]
    assert SPEEDS[middle] == pytest.approx(1.0)
    np.testing.assert_array_equal(bank.sound[begin : begin + length], first)
    np.testing.assert_allclose(np.square(bank.rooms.astype(float) / 64.0).sum(1), 1.0, rtol=0.02)
    assert len(bank.filters) == len(bank.curves) >= 24
    assert 0 < bank.own < len(bank.filters)


def test_batches_are_levelled_pairs_that_are_drawn_anew(bank):
    drawer = pair_sampler.Drawer(bank, 3)
    batch = drawer.draw(8)
    for clips in (batch.input, batch.reference, batch.answer):
        assert clips.shape == (8, WINDOW)
        for x in clips.numpy():
            assert integrated_loudness(x, SAMPLE_RATE) == pytest.approx(LUFS, abs=0.1)
    off = ~(batch.on > 0.5).any(1)
    for x, y in zip(batch.input[off], batch.answer[off], strict=True):
        torch.testing.assert_close(x, y, atol=0.05, rtol=0.0)  # a compressor that hardly moves counts as off
    assert not torch.equal(drawer.draw(8).input, batch.input)
    again = pair_sampler.Drawer(bank, 3).draw(8)
    for one, other in zip(batch, again, strict=True):
        torch.testing.assert_close(one, other)


def test_what_our_own_effects_did_is_told(bank):
    """A pair made by our compressor alone is solved by its own values."""
    drawer, player, distance = pair_sampler.Drawer(bank, 5), torch_chain.Player(), torch_chain.Distance()
    values = np.array([[p.default for _, p in ChainParameters(CANONICAL).params]] * 2)
    columns = drawer.chain.columns("compressor")
    values[:, columns] = [[-35.0, 6.0, 4.0, 120.0, 3.0, 0.0]] * 2
    on = np.array([[False, True, False, False]] * 2)
    drawer._chains = lambda count: (on, values, np.zeros((2, 4), bool))
    drawer.rng = np.random.default_rng(8)
    batch = drawer.draw(2)
    plain = batch.curve.abs().sum(1) == 0  # no equaliser to undo
    assert plain.any()
    played = player(batch.input, batch.curve, batch.values, batch.on)
    error, nothing = (distance(x, batch.answer)[0][plain] for x in (played, batch.input))
    assert (error < 0.05 * nothing).all()


def test_a_training_by_ear_ends_in_time_and_its_checkpoint_is_a_model(bank, tmp_path, monkeypatch):
    ticks = count()
    monkeypatch.setattr(system, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))  # a second a step
    data = system.OnTheFlyData("nowhere", batch_size=2)
    data.prepare_data, data.train, data.validation = lambda: None, bank, bank
    data.setup = lambda stage=None: None
    model = system.SoundSystem(
        minutes=0.1, share=0.4, pairs=2, every=2, controller=32, encoder=32, tone=8, embedding=16
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trainer = lightning.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        gradient_clip_val=1.0,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(model, data)
    assert model.progress == 1.0
    assert model.global_step == 5
    assert {"train/sound", "train/on"} <= set(trainer.callback_metrics)
    moved = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert any("tone" in k for k in moved)
    assert any("rest" in k for k in moved)
    table = model.table(2)
    np.testing.assert_allclose(table["spectral"][:, 0], table["nothing"][:, 0], atol=5e-3)  # of no effect at all
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    loaded = system.SoundSystem.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    torch.testing.assert_close(loaded.state_dict(), model.state_dict())


def test_a_song_is_a_midi_file_and_the_same_again():
    songs = [synthetic.midi(synthetic.notes(np.random.default_rng(4), 6.0)) for _ in range(2)]
    assert songs[0] == songs[1]
    assert songs[0].startswith(b"MThd\x00\x00\x00\x06\x00\x00\x00\x01")
    assert songs[0].endswith(b"\xff\x2f\x00")
    assert int.from_bytes(songs[0][18:22], "big") == len(songs[0]) - 22
