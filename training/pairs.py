"""From recordings to pairs: input B, reference f(A), and the settings f that a model must find.

A *take* is two stretches A and B of one recording and several random chains played on A. Rendering
and listening are the costly part, so their results (front-end statistics, a few hundred numbers a
clip) are kept on disk; pairs are drawn from them anew in every epoch, from one take or from two.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..chain import CANONICAL, ChainParameters, ChainPlayer, ChainSettings
from ..dsp.loudness import integrated_loudness
from . import priors, render_cache
from .features import AVERAGE, BANDS, FLOOR, LUFS, SAMPLE_RATE, SPECTRA, WINDOW, WINDOW_S, FeatureExtractor
from .other_effects import chains, compressors, distortions, filters, outcome, reverbs
from .other_effects.chains import MixedChain, Played
from .priors import draw
from .recordings.recordings import (
    NoRecordings,
    Recording,
    Variation,
    mix,
    read_mono,
    stretch,
    two_stretches,
    usable_for_pairs,
)
from .response_losses import band_loudness, equaliser_curve

log = logging.getLogger(__name__)

STYLES = 6
"""Random chains played on each take."""
TAKES = 50
"""Takes in a file of the cache: what is lost if a render is cut off."""


@dataclass(frozen=True)
class Take:
    """Two stretches of one recording, mono float64 at 48 kHz and -23 LUFS, and where they come from."""

    a: np.ndarray
    b: np.ndarray
    recording: int


def level(x: np.ndarray) -> np.ndarray:
    """Bring a clip to the loudness that models are trained at; silence stays as it is."""
    loudness = integrated_loudness(x, SAMPLE_RATE)
    return x if loudness == -np.inf else x * 10 ** ((LUFS - loudness) / 20)


def window(x: np.ndarray) -> np.ndarray:
    """Make a clip exactly 5 s long: the first 5 s, or itself again and again."""
    return np.resize(x, WINDOW)


def render(x: np.ndarray, settings: ChainSettings) -> np.ndarray:
    """Play a mono clip (frames,) through a chain, by the live code, and level the result."""
    return level(ChainPlayer(settings, SAMPLE_RATE, 1).play(x[:, None])[:, 0])


def draw_take(recordings: Sequence[Recording], rng: np.random.Generator, vary: bool = True) -> Take:
    """Draw a recording and two stretches of it; `vary` changes speed and sometimes mixes another in.

    Raises ValueError if no recording has two audible stretches of 2 s.
    """
    usable = [i for i, r in enumerate(recordings) if usable_for_pairs(r)]
    for _ in range(100 if usable else 0):
        index = usable[rng.integers(len(usable))]
        variation = Variation.draw(rng) if vary and rng.random() < 0.9 else Variation()
        places = two_stretches(recordings[index], WINDOW_S * variation.speed, rng)
        if places is None:
            continue
        a, b = (_read(recordings[index], p.start_s, p.seconds, variation) for p in places)
        if vary and rng.random() < 0.25:
            a, b = _mixed(recordings[usable[rng.integers(len(usable))]], a, b, rng)
        if min(integrated_loudness(a, SAMPLE_RATE), integrated_loudness(b, SAMPLE_RATE)) > -60.0:
            return Take(level(window(a)), level(window(b)), index)
    raise NoRecordings(
        "no recording has two audible stretches of 2 s; see `afx_live.training.recordings.recordings.find`"
    )


def _read(recording: Recording, start_s: float, seconds: float, variation: Variation) -> np.ndarray:
    x = read_mono(recording, start_s, seconds, SAMPLE_RATE)[:, None]
    return variation.apply(x, SAMPLE_RATE)[:, 0].astype(np.float64)


def _mixed(other: Recording, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    place = stretch(other, 2 * WINDOW_S, rng)
    if place is None:
        return a, b
    whole = np.concatenate([a, b])[:, None].astype(np.float32)
    second = np.resize(_read(other, place.start_s, place.seconds, Variation()), len(whole))[:, None]
    whole = mix(whole, second.astype(np.float32), rng)[:, 0].astype(np.float64)
    return whole[: len(a)], whole[len(a) :]


# --- the cache -------------------------------------------------------------------------------------


STORED = ("dry", "wet", "values", "on", "recording", "kind", "trust", "sure", "curve")


@dataclass(frozen=True)
class Statistics:
    """Rendered takes as the front end heard them.

    dry (takes, 2, size): A and B; wet (takes, styles, size): f(A); values (takes, styles, params)
    and on (takes, styles, effects): f; recording (takes,); kind (takes,) numbers the recordings' kinds.
    trust (takes, styles, params), sure (takes, styles, effects) and curve (takes, styles, bands) are
    those of `variants.Played`.

    Once `settled`, tone (takes, styles) says by how many dB f's equaliser made A louder; see there.
    """

    dry: np.ndarray
    wet: np.ndarray
    values: np.ndarray
    on: np.ndarray
    recording: np.ndarray
    kind: np.ndarray
    trust: np.ndarray
    sure: np.ndarray
    curve: np.ndarray
    tone: np.ndarray


def _render_file(job: tuple[Path, list[Recording], int, int, bool, float]) -> Path:
    path, recordings, count, seed, vary, share = job
    torch.set_num_threads(1)
    front_end, rng = FeatureExtractor(), np.random.default_rng(seed)
    kinds = sorted({r.kind for r in recordings})

    def hear(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return front_end(torch.from_numpy(x.astype(np.float32))[None])[0].numpy()

    rows: dict[str, list] = {k: [] for k in STORED}
    for _ in range(count):
        take = draw_take(recordings, rng, vary)
        played = [_play(take.a, rng, share) for _ in range(STYLES)]
        rows["dry"].append([hear(take.a), hear(take.b)])
        rows["wet"].append([hear(p.audio) for p in played])
        rows["values"].append([p.values for p in played])
        rows["on"].append([p.on for p in played])
        rows["trust"].append([p.trust for p in played])
        rows["sure"].append([p.sure for p in played])
        rows["curve"].append([p.curve_db for p in played])
        rows["recording"].append(take.recording)
        rows["kind"].append(kinds.index(recordings[take.recording].kind))
    arrays: dict[str, Any] = {
        k: np.array(v, None if k in ("on", "recording", "kind") else np.float32) for k, v in rows.items()
    }
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **arrays)
    partial.replace(path)
    return path


def _play(x: np.ndarray, rng: np.random.Generator, share: float) -> Played:
    """Draw a chain, of laws of other kinds with a chance of `share`, and play a clip through it, levelled."""
    strange = share > 0.0 and rng.random() < share
    variant = chains.draw(rng) if strange else MixedChain(draw(rng), {})
    played = variant.play(x, SAMPLE_RATE)
    return replace(played, audio=level(played.audio))


def vector(chain: ChainParameters, settings: ChainSettings) -> np.ndarray:
    """Write settings as the chain's value vector."""
    return np.array([settings.effect(effect).values[p.name] for effect, p in chain.params])


def render_statistics(
    recordings: Sequence[Recording],
    folder: Path,
    takes: int,
    seed: int,
    workers: int,
    vary: bool = True,
    share: float = 0.0,
) -> Path:
    """Render takes into a folder of its own inside `folder`; what is there already is kept.

    `share` is the part of all chains that laws of other kinds play. Returns the folder, which `cache`
    names.
    """
    more = {}
    if share:
        parts = (outcome, filters, compressors, distortions, reverbs, chains, _play)
        more = {"share": share, "laws": [render_cache.meaning(part) for part in parts]}
    parts = FeatureExtractor, priors, draw_take, render, level, window
    home = folder / render_cache.made_of(recordings, parts, seed, vary, **more)
    jobs = [
        (path, list(recordings), count, seed * 1_000_003 + i, vary, share)
        for i, (path, count) in enumerate(render_cache.files(home, takes, TAKES))
    ]
    return render_cache.fill(home, _render_file, jobs, workers, "Rendering references")


def load_statistics(home: Path, takes: int) -> Statistics:
    """Read a rendered folder."""
    parts = [completed(dict(np.load(path))) for path, _ in render_cache.files(home, takes, TAKES)]
    return settled({k: np.concatenate([p[k] for p in parts])[:takes] for k in STORED})


def completed(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add what folders from before there were other laws lack: there, every value was certain."""
    if "curve" in stored:
        return stored
    values, on = stored["values"], stored["on"]
    flat = torch.from_numpy(values[..., ChainParameters(CANONICAL).columns("equaliser")].reshape(-1, 18))
    curve = equaliser_curve(flat).numpy().reshape(*values.shape[:2], BANDS) * on[..., :1]
    more = {"trust": np.ones_like(values), "sure": np.ones(on.shape, np.float32), "curve": curve.astype(np.float32)}
    return {**stored, **more}


def settled(stored: dict[str, np.ndarray]) -> Statistics:
    """Say every f as it is for a signal that leaves the equaliser at -23 LUFS.

    How much louder an equaliser makes a clip depends on the clip and cannot be heard in a levelled
    reference, and the live side solves level anyway: it brings what *leaves* the equaliser to -23
    LUFS. So what the equaliser added is taken off the compressor's threshold and put on the drive,
    and the curve to learn is the one without it.
    """
    chain = ChainParameters(CANONICAL)
    values, curve = stored["values"].copy(), stored["curve"]
    tone = np.where(stored["on"][..., 0], louder_by(stored["dry"][:, :1], curve), 0.0).astype(np.float32)
    for name, sign in (("threshold_db", -1.0), ("drive_db", 1.0)):
        column = next(i for i, (_, p) in enumerate(chain.params) if p.name == name)
        param = chain.params[column][1]
        values[..., column] = np.clip(values[..., column] + sign * tone, param.low, param.high)
    return Statistics(**{**stored, "values": values}, tone=tone)


def louder_by(statistics: np.ndarray, curve_db: np.ndarray) -> np.ndarray:
    """Tell by how many dB filters (…, bands) make clips (…, size) louder."""
    power = 10 ** (statistics[..., :BANDS] / 10) * band_loudness().numpy()
    return 10 * np.log10((power * 10 ** (curve_db / 10)).sum(-1) / power.sum(-1))


class Pairs(torch.utils.data.Dataset):
    """Pairs from statistics, as rows: raw statistics of input and reference; f's values, on-flags and tone;
    kinship; f's curve, and how far values and on-flags are to be believed.

    Half of the pairs take the input from the reference's own recording (B of the same take), a
    quarter from another recording of its kind, a quarter from anywhere. `colour_db` is how strongly
    both clips of a pair are coloured alike, as another microphone would, so that what is learned is
    how they differ. `spoilt` is how often the input alone went through an equaliser, which f's must
    undo as well: DeepAFx-ST's task.
    """

    def __init__(
        self, statistics: Statistics, seed: int | None = None, colour_db: float = 0.0, spoilt: float = 0.0
    ) -> None:
        self._s, self._seed, self._colour_db, self._spoilt = statistics, seed, colour_db, spoilt
        self._toned = np.argwhere(statistics.on[..., 0] * statistics.sure[..., 0] * statistics.trust[..., 0] > 0.5)
        self._of_kind = {k: np.flatnonzero(statistics.kind == k) for k in np.unique(statistics.kind)}

    def __len__(self) -> int:
        return self._s.wet.shape[0] * self._s.wet.shape[1]

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return tuple(column[0] for column in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """Give a whole batch at once: DataLoader asks for it so, with `collate` as its collate_fn."""
        s, chosen = self._s, np.asarray(indices)
        rng = np.random.default_rng(None if self._seed is None else [self._seed, *chosen[:1]])
        take, style = np.divmod(chosen, s.wet.shape[1])
        chance = rng.random(len(take))
        anywhere = rng.integers(len(s.kind), size=len(take))
        alike = np.array(
            [self._of_kind[s.kind[t]][i % len(self._of_kind[s.kind[t]])] for t, i in zip(take, anywhere, strict=True)]
        )
        other = np.where(chance < 0.5, take, np.where(chance < 0.75, alike, anywhere))
        which = np.where(chance < 0.5, 1, rng.integers(2, size=len(take)))
        colour = self._colour_db * rng.standard_normal((len(take), 1)) * _smooth(rng, len(take))
        here, there = (_coloured(x, colour) for x in (s.dry[other, which], s.wet[take, style]))
        style = take, style
        on, tone, curve = s.on[style].astype(np.float32), s.tone[style].copy(), s.curve[style].copy()
        spoilt = np.flatnonzero(rng.random(len(take)) < self._spoilt) if len(self._toned) else []
        if len(spoilt):
            by = s.curve[tuple(self._toned[rng.integers(len(self._toned), size=len(spoilt))].T)]
            gain = louder_by(here[spoilt], by)
            here[spoilt] = _coloured(here[spoilt], by - gain[:, None])  # at -23 LUFS again
            curve[spoilt], tone[spoilt], on[spoilt, 0] = curve[spoilt] - by, tone[spoilt] - gain, 1.0
        rows = here, there, s.values[style], on, tone, other == take, curve, s.trust[style], s.sure[style]
        return tuple(torch.from_numpy(np.asarray(row, np.float32)) for row in rows)


def _smooth(rng: np.random.Generator, count: int, knots: int = 7) -> np.ndarray:
    """Draw smooth curves over the bands, of about 1 dB: (count, bands)."""
    tents = np.maximum(0.0, 1.0 - np.abs(np.linspace(0, knots - 1, BANDS) - np.arange(knots)[:, None]))
    return rng.standard_normal((count, knots)) @ tents


def _coloured(statistics: np.ndarray, curve_db: np.ndarray) -> np.ndarray:
    """Filter clips that are known by their statistics: a filter moves a band's levels, and hardly anything else."""
    spectra = statistics[:, : SPECTRA * BANDS].reshape(len(statistics), SPECTRA, BANDS)
    average, floor = np.eye(SPECTRA)[[AVERAGE, FLOOR]]
    moved = spectra + (average + floor)[:, None] * curve_db[:, None]
    return np.concatenate([moved.reshape(len(statistics), -1), statistics[:, SPECTRA * BANDS :]], 1)


def collate(batch: Any) -> tuple[torch.Tensor, ...]:
    """Leave a batch as `Pairs` made it."""
    return batch
