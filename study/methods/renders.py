"""Renders: pairs with their audio, for audio losses. Made once, kept on disk.

A *render* is two stretches A and B of one recording, played through one random effect chain f. Either may be
the input and the other the reference, so a render has two *sides*: side s has stretch s as the input, f(the
other stretch) as the reference and f(stretch s) as the answer.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ...chain import CANONICAL, ChainParameters
from ...files.atomic_write import atomic_path
from ...training import priors, render_cache
from ...training.datamodules import RecordingsDataModule
from ...training.features import BANDS, FeatureExtractor, level, window
from ...training.recordings import Recording
from ...training.response_losses import equaliser_curve, louder_by
from ...training.shards import level_normalised
from ..pairs.ours import effects_of
from .stretches import draw_take, render

FRAMES = 131072
"""Frames kept of each stretch, from its beginning, where f starts from silence, as a model's chain does."""
PER_FILE = 25
"""Renders in a file of the cache: the most that an interruption loses."""
CHAINS = {
    "none": 0.06,
    "equaliser": 0.14,
    "compressor": 0.14,
    "distortion": 0.1,
    "reverb": 0.1,
    "equaliser+compressor": 0.22,
    "all": 0.24,
}
"""How often f has which effects: one, several joined by "+", "all" or "none"."""
Job = tuple[Path, list[Recording], int, list[int], bool, dict[str, float]]
"""A file to render: recordings, how many renders, seed, whether they vary, chains."""
_ARRAYS = ("dry", "wet", "values", "on", "recording", "kind")


# --- rendering -----------------------------------------------------------------------------------------


def _render_file(job: Job) -> None:
    path, recordings, count, seed, vary, chains = job
    torch.set_num_threads(1)
    front_end, rng, chain = FeatureExtractor(), np.random.default_rng(seed), ChainParameters(CANONICAL)
    kinds = sorted({r.kind for r in recordings})
    shares = np.array(list(chains.values())) / sum(chains.values())

    def features(clips: Sequence[np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return front_end(torch.from_numpy(np.array(clips, np.float32))).numpy()

    rows: dict[str, list] = {k: [] for k in _ARRAYS}
    audio = np.zeros((count, 2, 2, FRAMES), np.float32)
    for i in range(count):
        take = draw_take(recordings, rng, vary)
        settings = priors.draw(rng, effects_of(list(chains)[rng.choice(len(chains), p=shares)]))
        dry = [take.a, take.b]
        wet = [render(x, settings) for x in dry]
        audio[i, :, 0], audio[i, :, 1] = [x[:FRAMES] for x in dry], [x[:FRAMES] for x in wet]
        row = (
            features(dry),
            features(wet),
            chain.vector(settings),
            [s.enabled for s in settings.effects],
            take.recording,
        )
        for name, value in zip(_ARRAYS, (*row, kinds.index(recordings[take.recording].kind)), strict=True):
            rows[name].append(value)
    arrays = {k: np.array(v, np.float32 if k in ("dry", "wet", "values") else None) for k, v in rows.items()}
    _write(path, arrays, audio)


def _write(path: Path, arrays: dict[str, np.ndarray], audio: np.ndarray) -> None:
    """Write the audio first: the file of statistics then says that both are complete."""
    with atomic_path(path.with_suffix(".npy"), durable=False) as partial, open(partial, "wb") as file:
        np.save(file, audio)
    with atomic_path(path, durable=False) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def render_audio(
    recordings: Sequence[Recording],
    folder: Path,
    count: int,
    seed: int,
    workers: int,
    vary: bool = True,
    chains: Mapping[str, float] = CHAINS,
) -> Path:
    """Make renders, 2 MB each, in a subfolder of `folder` named by their recipe; return it. Keeps existing ones."""
    parts = FeatureExtractor, priors, draw_take, render, level, window, _render_file
    home = folder / render_cache.made_of(
        recordings, ChainParameters(CANONICAL), parts, seed, vary, chains=dict(chains), frames=FRAMES
    )
    files = enumerate(_files(home, count))
    _fill(home, [(path, list(recordings), n, [seed, i], vary, dict(chains)) for i, (path, n) in files], workers)
    return home


def _files(home: Path, count: int) -> list[tuple[Path, int]]:
    """Name the files of so many renders, and how many are in each; only the last may hold fewer."""
    counts = [PER_FILE] * (count // PER_FILE) + ([count % PER_FILE] if count % PER_FILE else [])
    return [(home / (f"{i:05d}.npz" if n == PER_FILE else f"{i:05d}-{n}.npz"), n) for i, n in enumerate(counts)]


def _fill(home: Path, jobs: Sequence[Job], workers: int) -> None:
    """Render the jobs whose file is not there yet."""
    home.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not job[0].exists()]
    if missing:
        from rich.progress import track

        # spawn: numba's thread pool does not survive a fork
        with ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn")) as pool:
            for _ in track(pool.map(_render_file, missing), "Rendering pairs", total=len(missing)):
                pass


# --- reading -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A rendered folder.

    dry, wet (renders, sides, size): feature statistics of the stretches and of f(stretches); values (renders,
    params) and on (renders, effects): f's values, and which effects are enabled; normalised (renders, sides,
    params): f's values after `shards.level_normalised` for that side's stretch as the reference; audio: one
    memory map (renders, sides, 2, frames) of dry and wet for each file.
    """

    dry: np.ndarray
    wet: np.ndarray
    values: np.ndarray
    normalised: np.ndarray
    on: np.ndarray
    audio: list[np.ndarray]

    def chain(self, index: int) -> tuple[str, ...]:
        """Return f's effects."""
        return tuple(e for e, on in zip(CANONICAL, self.on[index], strict=True) if on)


def load_renders(home: Path, count: int) -> Stored:
    """Open a rendered folder; its audio is read from disk on access."""
    files = [path for path, _ in _files(home, count)]
    parts = [dict(np.load(path)) for path in files]
    s = {k: np.concatenate([p[k] for p in parts]) for k in _ARRAYS}
    bands = torch.from_numpy(s["values"][:, ChainParameters(CANONICAL).columns("equaliser")])
    curve = equaliser_curve(bands).numpy()[:, None]  # (renders, 1, bands)
    tone_db = np.where(s["on"][:, :1], louder_by(s["dry"][..., :BANDS], curve), 0.0)  # (renders, sides)
    values = np.repeat(s["values"][:, None], 2, 1)
    values = level_normalised(ChainParameters(CANONICAL), values, tone_db).astype(np.float32)
    audio = [np.load(path.with_suffix(".npy"), mmap_mode="r") for path in files]
    return Stored(s["dry"], s["wet"], s["values"], values, s["on"], audio)


class Sides(Dataset):
    """Pairs from renders: statistics of input and reference, f's normalised values, flags of enabled, input, answer.

    frames: length of the audio, from the beginning; 0 gives none. The side is drawn at each access, or, for
    validation (`fixed`), follows from the index. only: names of chains; renders of other chains are left out.
    """

    def __init__(self, stored: Stored, frames: int, only: Sequence[str] | None = None, fixed: bool = False) -> None:
        wanted = None if only is None else {effects_of(name) for name in only}
        self._rows = [i for i in range(len(stored.on)) if wanted is None or stored.chain(i) in wanted]
        if not self._rows:
            raise ValueError(f"no render's chain is one of {', '.join(only or ())}")
        self._s, self._frames, self._fixed = stored, frames, fixed

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        s, row = self._s, self._rows[index]
        side = index % 2 if self._fixed else int(torch.randint(2, ()))
        other = 1 - side
        audio = s.audio[row // PER_FILE][row % PER_FILE, side, :, : self._frames]
        columns = s.dry[row, side], s.wet[row, other], s.normalised[row, other], s.on[row], audio[0], audio[1]
        return tuple(torch.from_numpy(np.array(c, np.float32)) for c in columns)


class Renders(RecordingsDataModule):
    """Pairs with their audio, 2 MB a take, rendered before training.

    takes, validation_takes: how many; a cut-off render goes on where it stopped. chains: how often f is which
    chain. only: use only renders of these chains, from the same cache. frames: length of the audio in training, at
    48 kHz, at most 131072; validation always uses all.
    All else: see `RecordingsDataModule`.
    """

    KEPT = "renders"
    train: Stored
    validation: Stored

    def __init__(
        self,
        folder: str,
        *,
        takes: int = 3000,
        validation_takes: int = 100,
        chains: dict[str, float] = CHAINS,
        only: list[str] | None = None,
        batch_size: int = 8,
        validation_batch_size: int = 10,
        frames: int = 65536,
        **kwargs: Any,
    ) -> None:
        super().__init__(folder, **kwargs)
        if not 0 <= frames <= FRAMES:
            raise ValueError(f"frames: {frames} is not in 0 … {FRAMES}, which is what a render holds")
        self.save_hyperparameters()
        self.takes, self.validation_takes = takes, validation_takes
        self.chains, self.only, self.frames = dict(chains), only, frames
        self.batch_size, self.validation_batch_size = batch_size, validation_batch_size

    def prepare_data(self) -> None:
        """Render what the cache lacks. Lightning calls this on one process of each node."""
        train, held_out = self.recordings()
        self._homes = (
            render_audio(train, self.cache, self.takes, self.seed, self.workers, True, self.chains),
            render_audio(held_out, self.cache, self.validation_takes, self.seed + 1, self.workers, False, self.chains),
        )

    def setup(self, stage: str | None = None) -> None:
        """Open the renders on every process."""
        self.prepare_data()  # all there by now: finds the folders
        self.train = load_renders(self._homes[0], self.takes)
        self.validation = load_renders(self._homes[1], self.validation_takes)

    @property
    def statistics(self) -> torch.Tensor:
        """Raw statistics of the references in training (clips, size), for the network's normalisation."""
        return torch.from_numpy(self.train.wet.reshape(-1, self.train.wet.shape[-1]))

    def train_dataloader(self) -> DataLoader:
        rows = Sides(self.train, self.frames, self.only)
        return DataLoader(rows, self.batch_size, shuffle=True, drop_last=len(rows) > self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Sides(self.validation, FRAMES, self.only, fixed=True), self.validation_batch_size)
