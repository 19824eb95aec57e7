"""Linear probes: what encoders know of style, as in DeepAFx-ST.

Clips of seven styles (`deepafx_styles_corrected`: the paper's five, and driven and spacious) as an encoder's
embeddings; logistic regression on some recordings, tested on others. Written here and not taken from
scikit-learn, which would be a dependency of 40 MB for thirty lines.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...training.features import SAMPLE_RATE, WINDOW
from ...training.network import Encoder, Size
from ...training.recordings import Recording
from ..metrics.audio import matched, mel_levels_db
from ..pairs import generators
from ..pairs.condition import Audio, Condition
from ..systems import registry
from ..systems.registry import loaded

STYLES = ("neutral", "broadcast", "telephone", "bright", "warm", "driven", "spacious")
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 4
TEST_SHARE = 0.3

Describe = Callable[[Audio], np.ndarray]


def probe(
    recordings: Sequence[Recording], models: Path, output: Path, train: int = 300, test: int = 100, seed: int = 7
) -> dict[str, Any]:
    """Probe every encoder that exists, write the results as JSON, and return them.

    Training and test recordings are of different groups. Raises ValueError for fewer than two groups.
    """
    left, right = sides(recordings, seed)
    clips = draw(left, train, seed), draw(right, test, seed + 1)
    found = {}
    with one_thread():
        for name, describe in encoders(models, [x for x, _, _ in clips[0]]).items():
            x, y = (np.array([describe(clip) for clip, _, _ in side]) for side in clips)
            found[name] = assess(x, *_labels(clips[0]), y, *_labels(clips[1]))
    result = {"styles": STYLES, "train": train, "test": test, "seed": seed, "encoders": found}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    return json.loads(output.read_text())


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: on small problems two threads take ten times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def summary(result: dict[str, Any]) -> str:
    """Format the accuracies, one line each."""
    return "\n".join(
        f"{name:32} {e['accuracy']:5.0%} [{e['accuracy_interval'][0]:.0%}, {e['accuracy_interval'][1]:.0%}]"
        for name, e in result["encoders"].items()
    )


# --- clips ------------------------------------------------------------------------------------------


def sides(recordings: Sequence[Recording], seed: int) -> tuple[list[Recording], list[Recording]]:
    """Split recordings by groups: most to train on, some to test; the same ones for the same seed."""
    groups = sorted({r.group for r in recordings})
    if len(groups) < 2:
        raise ValueError(f"probes need recordings of at least two groups, not {len(groups)}; give a larger folder")
    order = np.random.default_rng(seed).permutation(len(groups))
    aside = {groups[i] for i in order[: max(1, round(TEST_SHARE * len(groups)))]}
    return [r for r in recordings if r.group not in aside], [r for r in recordings if r.group in aside]


def draw(recordings: Sequence[Recording], count: int, seed: int) -> list[tuple[Audio, int, str]]:
    """Draw clips in all styles in turn: audio at 48 kHz and -23 LUFS, index of the style, group of the recording."""
    clips = []
    for i in range(count):
        style = i % len(STYLES)
        pair = generators.draw_pair(
            Condition("deepafx_styles_corrected", STYLES[style], sample_rate=SAMPLE_RATE), recordings, i, seed
        )
        clips.append((matched(pair.reference, SAMPLE_RATE), style, pair.recording))
    return clips


def _labels(clips: Sequence[tuple[Audio, int, str]]) -> tuple[np.ndarray, list[str]]:
    return np.array([style for _, style, _ in clips]), [group for _, _, group in clips]


# --- encoders ---------------------------------------------------------------------------------------


def encoders(models: Path, clips: Sequence[Audio]) -> dict[str, Describe]:
    """List the encoders by name; `clips` are for the random encoder's normalisation."""
    model = loaded(registry.ours_folder(models))
    found: dict[str, Describe] = {
        "ours, embedding": lambda x: model.analyse(x, SAMPLE_RATE).embedding,
        "ours, statistics": lambda x: model.analyse(x, SAMPLE_RATE).statistics,
        "log-mel, mean and deviation": log_mel,
        "random encoder, embedding": _embedding(random_encoder(clips)),
    }
    for name in registry.TRAININGS:
        try:
            encoder = _trained(models, name)
        except FileNotFoundError:
            continue
        found[f"{name}, embedding"] = _embedding(encoder)
    return found


def log_mel(x: Audio) -> np.ndarray:
    """Return the mean and the standard deviation over time of 64 mel bands in dB, (128,)."""
    level = mel_levels_db(x, SAMPLE_RATE)
    return np.concatenate([level.mean(0), level.std(0)])


def random_encoder(clips: Sequence[Audio], seed: int = 0) -> Encoder:
    """Make an untrained encoder of the shipped shape, its statistics normalised as training would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(Size())
    with torch.no_grad():
        encoder.normalise_by(torch.cat([encoder.front_end(_windowed(x)) for x in clips]))
    return encoder.eval()


def _trained(models: Path, name: str) -> Encoder:
    from ..methods.system import MethodSystem

    path = registry.checkpoint(models, name)
    return MethodSystem.load_from_checkpoint(path, map_location="cpu").network.encoder.eval()


def _windowed(x: Audio) -> torch.Tensor:
    return torch.from_numpy(np.resize(x, WINDOW).astype(np.float32))[None]


def _embedding(encoder: Encoder) -> Describe:
    def describe(x: Audio) -> np.ndarray:
        with torch.no_grad():
            return encoder(_windowed(x))[1][0].numpy()

    return describe


# --- probes -----------------------------------------------------------------------------------------


def assess(
    x: np.ndarray, style: np.ndarray, groups: Sequence[str], y: np.ndarray, truth: np.ndarray, others: Sequence[str]
) -> dict[str, Any]:
    """Fit on x (clips, size), test on y: accuracy and macro-F1 with bootstrap intervals over groups, confusions."""
    mean, scale = x.mean(0), x.std(0) + 1e-6
    x, y = (x - mean) / scale, (y - mean) / scale
    found = predict(fit(x, style, _penalty(x, style, groups)), y)
    confusion = np.zeros((len(STYLES), len(STYLES)), int)
    np.add.at(confusion, (truth, found), 1)
    names = sorted(set(others))
    members = [np.flatnonzero([g == name for g in others]) for name in names]
    rng, accuracies, scores = np.random.default_rng(0), [], []
    for _ in range(1000):
        drawn = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        accuracies.append(float(np.mean(found[drawn] == truth[drawn])))
        scores.append(macro_f1(truth[drawn], found[drawn]))
    return {
        "size": x.shape[1],
        "accuracy": float(np.mean(found == truth)),
        "macro_f1": macro_f1(truth, found),
        "accuracy_interval": np.quantile(accuracies, [0.025, 0.975]).tolist(),
        "macro_f1_interval": np.quantile(scores, [0.025, 0.975]).tolist(),
        "confusion": confusion.tolist(),
    }


def macro_f1(truth: np.ndarray, found: np.ndarray) -> float:
    """Average the F1 scores of the styles that occur."""
    scores = []
    for style in np.unique(truth):
        hits = np.sum((truth == style) & (found == style))
        scores.append(2 * hits / (np.sum(truth == style) + np.sum(found == style)))
    return float(np.mean(scores))


def fit(x: np.ndarray, style: np.ndarray, penalty: float) -> nn.Linear:
    """Fit a logistic regression: cross-entropy plus penalty times the mean square of weights, by L-BFGS."""
    data, wanted = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(style)
    model = nn.Linear(x.shape[1], len(STYLES))
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = nn.functional.cross_entropy(model(data), wanted) + penalty * model.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType]
    return model


def predict(model: nn.Linear, x: np.ndarray) -> np.ndarray:
    """Return the most probable style of each row."""
    with torch.no_grad():
        return model(torch.from_numpy(x.astype(np.float32))).argmax(1).numpy()


def _penalty(x: np.ndarray, style: np.ndarray, groups: Sequence[str]) -> float:
    """Choose the penalty on folds of the training clips, by groups."""
    names = sorted(set(groups))
    if len(names) < 2:
        return PENALTIES[1]
    fold = np.array([names.index(g) % min(FOLDS, len(names)) for g in groups])

    def hits(penalty: float) -> int:
        return sum(
            int(np.sum(predict(fit(x[fold != k], style[fold != k], penalty), x[fold == k]) == style[fold == k]))
            for k in range(fold.max() + 1)
        )

    return max(PENALTIES, key=hits)
