"""The study's trainings: each method's gradient, masks, budgets, renders, and playing what was trained."""

import csv
from pathlib import Path

import lightning
import numba
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from afx_live.chain import ChainParameters, play_clip
from afx_live.dsp.loudness import integrated_loudness
from afx_live.study.methods import Trained, load, renders
from afx_live.study.methods.budget import Budget
from afx_live.study.methods.cli import main
from afx_live.study.methods.losses import AudioLoss, at_level_of
from afx_live.study.methods.proxy import Proxy
from afx_live.study.methods.stretches import draw_take, render
from afx_live.study.methods.system import MethodSystem
from afx_live.study.methods.tcn import DILATIONS, KERNEL, Tcn
from afx_live.study.methods.unit_parameters import UnitParameters, draw_masks
from afx_live.study.metrics.audio import stft_error
from afx_live.training.features import LUFS, SAMPLE_RATE, WINDOW
from afx_live.training.recordings import find

pytestmark = pytest.mark.slow  # networks are trained

PAIR = ["equaliser", "compressor"]
CHAINS = {"equaliser+compressor": 0.5, "all": 0.5}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Small arrays gain nothing from a second one, and on a busy machine the first waits for it."""
    before = torch.get_num_threads(), numba.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])


@pytest.fixture(scope="module")
def cache(folder, tmp_path_factory) -> Path:
    """Where renders of `folder` are: the slow part, made once, in this process."""
    home = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renders, "ProcessPoolExecutor", _InThisProcess)
        data(folder, home).prepare_data()
    return home


class _InThisProcess:
    def __init__(self, *_):
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def data(folder, cache, **more) -> renders.Renders:
    """Four renders for training and two for validation."""
    small = {"takes": 4, "validation_takes": 2, "batch_size": 2, "frames": 20000, "chains": CHAINS}
    return renders.Renders(str(folder), cache=str(cache), **{**small, **more})


def trainer(home: Path, **more) -> lightning.Trainer:
    said = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(default_root_dir=home, **{**said, "num_sanity_val_steps": 0, **more})


def sound(frames: int, rows: int, seed: int = 0) -> torch.Tensor:
    """Draw noise that comes and goes, so that a compressor has something to do."""
    rng = np.random.default_rng(seed)
    swell = 0.02 + 0.3 * np.abs(np.sin(np.arange(frames) * 2 * np.pi / 5000.0))
    return torch.from_numpy(rng.standard_normal((rows, frames)) * swell)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


# --- gradients -------------------------------------------------------------------------------------


def small_loss() -> AudioLoss:
    return AudioLoss(windows=(128, 512, 2048))


def gradient(play, x, target, unit) -> torch.Tensor:
    unit = unit.clone().requires_grad_()
    small_loss()(at_level_of(play(unit), target), target).backward()
    return unit.grad


def test_the_loss_is_the_metric_of_the_study():
    a, b = (sound(20000, 1, seed) for seed in (1, 2))
    assert float(AudioLoss(l1=0.0)(a, b)) == pytest.approx(stft_error(a[0].numpy(), b[0].numpy(), 48000), rel=1e-9)
    with pytest.raises(ValueError, match="too few"):
        AudioLoss()(a[:, :16384], b[:, :16384])


def test_the_exact_gradient_is_that_of_finite_differences():
    parameters, rng = UnitParameters(PAIR), torch.Generator().manual_seed(3)
    x, target = sound(6000, 1), sound(6000, 1, 1)
    unit, mask = 0.2 + 0.6 * torch.rand(1, 24, generator=rng, dtype=torch.float64), torch.ones(1, 2)
    exact = gradient(lambda u: parameters.play(x, u, mask), x, target, unit)
    for column in range(24):
        step = torch.zeros_like(unit)
        step[0, column] = 1e-5
        up, down = (
            small_loss()(at_level_of(parameters.play(x, u, mask), target), target) for u in (unit + step, unit - step)
        )
        assert float(exact[0, column]) == pytest.approx(float(up - down) / 2e-5, abs=2e-3 * float(exact.abs().max()))
    assert float(exact[0, 23]) == 0.0  # make-up gain: solved, not learned


def test_spsa_comes_near_the_exact_gradient_with_many_pairs():
    parameters, x, target = UnitParameters(["compressor", "distortion"]), sound(6000, 2), sound(6000, 2, 1)
    unit, mask = torch.full((2, 10), 0.4, dtype=torch.float64), torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    exact = gradient(lambda u: parameters.play(x, u, mask), x, target, unit)
    many = gradient(lambda u: parameters.perturbed(x, u, mask, 100, 5e-4, 1), x, target, unit)
    assert cosine(exact, many) > 0.9
    assert (many[1, :6] == 0).all()  # parameters of what is bypassed are not moved
    one = [gradient(lambda u, s=s: parameters.perturbed(x, u, mask, 1, 5e-4, s), x, target, unit) for s in (1, 1, 2)]
    assert torch.equal(one[0], one[1])
    assert not torch.equal(one[0], one[2])


def test_np_fh_sounds_as_the_effects_and_learns_through_the_proxies():
    torch.manual_seed(0)
    models = {name: MethodSystem(name, PAIR, hidden=8) for name in ("np", "np_fh")}
    for proxy in models["np"].proxies.values():
        torch.nn.init.normal_(proxy.get_parameter("leave.weight"), std=0.3)
    models["np_fh"].load_state_dict(models["np"].state_dict())
    x = sound(6000, 2).float()
    unit, mask = torch.rand(2, 24), torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    heard = models["np_fh"].sound(x, unit, mask)
    assert torch.allclose(heard, UnitParameters(PAIR).play(x, unit, mask), atol=1e-6)
    given = torch.randn(x.shape)
    grads = []
    for model in models.values():
        parameters = unit.clone().requires_grad_()
        (model.sound(x, parameters, mask) * given).sum().backward()
        grads.append(parameters.grad)
    assert grads[0].abs().max() > 0
    assert torch.allclose(grads[0], grads[1])
    assert not any(p.requires_grad for p in models["np"].proxies.parameters())


def test_a_tcn_is_causal_begins_as_a_wire_and_remembers_as_long_as_it_says():
    torch.manual_seed(0)
    tcn, x, told = Tcn(5, 4), torch.randn(1, 20000), torch.rand(1, 5)
    assert torch.equal(tcn(x, told), x)
    torch.nn.init.normal_(tcn.leave.weight)
    moved = x.clone()
    moved[0, 9000] += 1.0
    reached = (tcn(moved, told) - tcn(x, told))[0].abs().nonzero()
    assert (int(reached.min()), int(reached.max())) == (9000, 9000 + (KERNEL - 1) * sum(DILATIONS))


# --- masks -----------------------------------------------------------------------------------------


def test_what_a_mask_leaves_out_is_bypassed():
    parameters, x, unit = UnitParameters(), sound(4000, 2), torch.rand(2, 34, dtype=torch.float64)
    y = parameters.play(x, unit, torch.tensor([[0.0, 0, 0, 0], [0, 1, 0, 0]]))
    assert torch.equal(y[0], x[0])
    assert torch.equal(y[1], UnitParameters(["compressor"]).play(x[1:], unit[1:, 18:24], torch.ones(1, 1))[0])


def test_masks_hold_what_f_uses_unless_they_are_of_another_kind():
    on = torch.tensor([[0.0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]).repeat(300, 1)
    masks = draw_masks(on, 0.0, torch.Generator().manual_seed(0))
    assert (masks.sum(1) > 0).all()
    assert (masks >= on).all()
    exact = (masks == on).all(1).reshape(-1, 3).float().mean(0)
    assert exact[0] == 0
    assert (exact[1:] > 0.4).all()
    assert (exact[1:] < 0.75).all()
    others = draw_masks(on, 1.0, torch.Generator().manual_seed(0))
    assert (others < on).any()
    assert (others.sum(1) > 0).all()


# --- renders ---------------------------------------------------------------------------------------


def test_a_take_is_two_stretches_at_the_training_loudness(folder):
    take = draw_take(find(folder), np.random.default_rng(0))
    for x in (take.a, take.b):
        assert x.shape == (WINDOW,)
        assert abs(integrated_loudness(x, SAMPLE_RATE) - LUFS) < 0.1
    assert not np.array_equal(take.a, take.b)


def test_renders_hold_f_of_either_side(folder, cache):
    module = data(folder, cache)
    module.setup()
    stored, chain = module.train, ChainParameters()
    for i in range(4):
        settings = chain.settings(stored.values[i], stored.on[i])
        for side in (0, 1):
            dry, wet = torch.from_numpy(np.array(stored.audio[0][i, side])).double()
            again = settings_play(settings, dry)
            assert float((at_level_of(again, wet[None]) - wet[None]).abs().max()) < 1e-4
    row = renders.Sides(stored, 1000, fixed=True)[1]
    assert np.array_equal(row[0], stored.dry[1, 1])
    assert np.array_equal(row[1], stored.wet[1, 0])
    assert np.array_equal(row[4], stored.audio[0][1, 1, 0, :1000])
    assert np.array_equal(row[5], stored.audio[0][1, 1, 1, :1000])


def settings_play(settings, dry) -> torch.Tensor:
    return torch.from_numpy(render(dry.numpy(), settings))[None]


def test_renders_are_the_same_again_and_are_kept(folder, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(renders, "ProcessPoolExecutor", _InThisProcess)
    train = find(folder)
    a, b = (renders.render_audio(train, tmp_path / n, 1, 7, 1, chains=CHAINS) for n in "ab")
    assert a.name == b.name
    one, two = (renders.load_renders(home, 1) for home in (a, b))
    assert np.array_equal(one.audio[0], two.audio[0])
    assert np.array_equal(one.wet, two.wet)
    (a / "00000-1.npz").unlink()  # as if it had been cut off before the numbers were written
    renders.render_audio(train, tmp_path / "a", 1, 7, 1, chains=CHAINS)
    assert np.array_equal(renders.load_renders(a, 1).values, one.values)
    monkeypatch.setattr(renders, "_render_file", None)  # everything is there: nothing may be rendered
    source = renders.render_cache.meaning
    monkeypatch.setattr(renders.render_cache, "meaning", lambda part: source(part) if part else source(_render_file))
    assert renders.render_audio(train, tmp_path / "a", 1, 7, 1, chains=CHAINS) == a
    assert renders.render_audio(train, tmp_path / "a", 0, 8, 1, chains=CHAINS) != a


_render_file = renders._render_file


def test_only_keeps_to_the_chains_that_are_asked_for(folder, cache):
    module = data(folder, cache)
    module.setup()
    held = [module.train.chain(i) for i in range(4)]
    assert len(renders.Sides(module.train, 0, ["all"])) == sum(len(c) == 4 for c in held)
    with pytest.raises(ValueError, match="reverb"):
        renders.Sides(module.train, 0, ["reverb"])


# --- training --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxies(folder, cache, tmp_path_factory) -> dict[str, str]:
    """Two proxies after two steps."""
    paths = {}
    for effect in PAIR:
        home = tmp_path_factory.mktemp(effect)
        run = trainer(home, max_steps=2)
        run.fit(Proxy(effect, channels=4, frames=17000), data(folder, cache))
        assert np.isfinite(float(run.callback_metrics["validation/loss"]))
        run.save_checkpoint(paths.setdefault(effect, str(home / "proxy.ckpt")))
    return paths


@pytest.mark.parametrize("method", ["ad", "spsa", "np", "np_fh", "ctcn1", "ctcn2", "response"])
def test_every_method_takes_steps_and_plays(method, folder, cache, proxies, tmp_path):
    effects = PAIR if method.startswith("np") else ["equaliser", "compressor", "distortion"]
    given = proxies if method.startswith("np") else None
    model = MethodSystem(method, effects, hidden=16, channels=4, proxies=given)
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    run = trainer(tmp_path, max_steps=2, limit_val_batches=1)
    run.fit(model, data(folder, cache, frames=0 if method == "response" else 20000, validation_batch_size=1))
    assert not torch.equal(before["leave.weight"], model.network.state_dict()["leave.weight"])
    assert np.isfinite(float(run.callback_metrics["validation/stft"]))
    assert ("validation/stft_hh" in run.callback_metrics) == (method == "np")
    run.save_checkpoint(tmp_path / "model.ckpt")
    check_playing(load(tmp_path / "model.ckpt"))
    if method == "np":
        hard = load(tmp_path / "model.ckpt", hard=True)
        check_playing(hard)
        assert hard.play(*two_clips(), 44100).settings is not None


def two_clips() -> tuple[np.ndarray, np.ndarray]:
    return sound(44100, 1)[0].numpy(), 0.3 * sound(50000, 1, 1)[0].numpy()


def check_playing(trained) -> None:
    """At 44.1 kHz: as long as the input, as loud as the reference, and only with what is allowed."""
    x, reference = two_clips()
    played = trained.play(x, reference, 44100)
    assert played.audio.shape == x.shape
    assert abs(integrated_loudness(played.audio, 44100) - integrated_loudness(reference, 44100)) < 0.1
    assert trained.embed(x, 44100).shape == (128,)
    with pytest.raises(ValueError, match="mono"):
        trained.play(x[:100], reference, 44100)
    with pytest.raises(ValueError, match="silent"):
        trained.play(0 * x, reference, 44100)
    with pytest.raises(ValueError, match="cannot use"):
        trained.play(x, reference, 44100, ["reverb"])
    if trained.effects:
        nothing = trained.play(x, reference, 44100, [])
        alike = (nothing.audio @ x) / np.sqrt((x @ x) * (nothing.audio @ nothing.audio))
        assert alike > (1 - 1e-9 if nothing.settings else 0.95)  # to 48 kHz and back, noise loses its top
        if nothing.settings:
            assert not any(step.enabled for step in nothing.settings.effects)


def test_settings_hold_gains_up_to_the_range_of_gain():
    x, reference = two_clips()
    x *= 10 ** ((-55.0 - integrated_loudness(x, 44100)) / 20)
    played = Trained(MethodSystem("ad", ["compressor"], hidden=8)).play(x, reference, 44100)
    assert played.settings is not None
    assert played.settings.input_gain_db == pytest.approx(32.0, abs=0.01)  # over 24 dB
    np.testing.assert_allclose(play_clip(played.settings, x, 44100), played.audio, atol=1e-6)


def test_a_budget_ends_a_training_and_is_kept_when_it_goes_on(folder, cache, tmp_path):
    def fit(minutes: float, checkpoint: str | None = None) -> tuple[Budget, list[dict]]:
        budget = Budget(minutes)
        best = ModelCheckpoint(monitor="validation/loss", save_last=True, filename="best", enable_version_counter=False)
        run = trainer(tmp_path, max_epochs=-1, callbacks=[budget, best], check_val_every_n_epoch=None)
        module = data(folder, cache, frames=0)
        run.fit(MethodSystem("response", hidden=8), module, ckpt_path=checkpoint)
        return budget, list(csv.DictReader(open(tmp_path / "curve.csv")))

    first, rows = fit(0.002)
    assert 0.12 <= first.used_s < 5.0
    steps = int(rows[-1]["step"])
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    assert (tmp_path / "checkpoints" / "best.ckpt").exists()
    second, rows = fit(0.002 + first.used_s / 60.0, last)
    assert second.used_s >= first.used_s + 0.12
    assert int(rows[-1]["step"]) > steps
    assert [int(r["step"]) for r in rows] == sorted({int(r["step"]) for r in rows})
    assert float(rows[-1]["validation_stft"]) > 0
    third, _ = fit(0.001, last)  # all used: not one more step
    assert third.used_s == pytest.approx(second.used_s, abs=1.0)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    "config",
    ["ad", "spsa", "np", "np_fh", "ctcn1", "ctcn2", "response", "proxy_equaliser", "proxy_compressor"],
)
def test_configs_are_what_the_command_line_understands(config, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", f"{config}.yaml", "--data.folder", "x", "--print_config"])
    assert ended.value.code in (0, None)
    shown = capsys.readouterr().out
    assert f"runs/study/{config}" in shown
    assert "Budget" in shown


def test_missing_recordings_and_proxies_are_said_in_words(tmp_path, capsys, folder, cache):
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", "ad.yaml", "--data.folder", str(tmp_path / "none")])
    assert ended.value.code == 4
    assert "no such folder" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="proxy_equaliser"):
        trainer(tmp_path, max_steps=1).fit(
            MethodSystem("np", PAIR, hidden=8, proxies={"equaliser": "no.ckpt", "compressor": "no.ckpt"}),
            data(folder, cache),
        )
    with pytest.raises(ValueError, match="no proxy"):
        MethodSystem("np", ["reverb"])
