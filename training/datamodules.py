"""The data side of training: recordings in, batches of pairs out."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import platformdirs
import torch
from torch.utils.data import DataLoader, IterableDataset

from ..chain import CANONICAL, ChainParameters
from . import priors, takes
from .features import SAMPLE_RATE, FeatureExtractor
from .other_effects import chains, compressors, distortions, filters, outcome, reverbs
from .other_effects.chains import NO_IMPULSES, Impulses
from .recordings import Recording, check_sides, split
from .recordings.decoded import decoded, impulse_responses, playing
from .render_cache import made_of
from .shards import Batch, Pairs, Shards, load, names
from .takes import TAKES, Renderer

log = logging.getLogger(__name__)

TAKE_BYTES = 1.4e6
"""Of a take on disk."""


class NoRoom(OSError):
    """The disk cannot hold what training renders (exit code 4 of afx-train)."""


def held_out_of(
    known: Sequence[Recording], held_out: Sequence[str], test: Sequence[str]
) -> tuple[list[Recording], list[Recording]]:
    """Give the recordings for validation and those for nothing but the study (none without patterns)."""
    rest, kept = split(known, test) if test else (list(known), [])
    return split(rest, held_out)[1], kept


class RecordingsDataModule(lightning.LightningDataModule):
    """What is made from any folder of recordings, and from LibriTTS, VCTK and MUSDB18 as they come.

    folder: where the recordings are, or several folders, separated by commas; layout: auto, folder, folders, libritts,
    vctk or musdb18.
    held_out: patterns of recordings kept out of training for validation; without any, a tenth.
    test: patterns of recordings that neither training nor validation may hear.
    workers: processes that make it. cache: where it is kept.
    """

    KEPT: str
    """Folder in the user's cache."""

    def __init__(
        self,
        folder: str,
        layout: str = "auto",
        held_out: Sequence[str] = (),
        test: Sequence[str] = (),
        workers: int = 2,
        seed: int = 1,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        self.folder, self.layout, self.held_out, self.test = folder, layout, tuple(held_out), tuple(test)
        self.workers, self.seed = workers, seed
        self.cache = Path(cache) if cache else Path(platformdirs.user_cache_dir("afx-live")) / self.KEPT

    def known(self) -> list[Recording]:
        """Find the recordings of all folders."""
        return playing(self.folder, self.layout)

    def recordings(self) -> tuple[list[Recording], list[Recording]]:
        """Give the recordings to train on and those for validation. Raises NoRecordings if either would be no use."""
        known = self.known()
        validation, test = held_out_of(known, self.held_out, self.test)
        train = [r for r in known if r not in validation and r not in test]
        check_sides(train, validation)
        return train, validation


class TakesDataModule(RecordingsDataModule):
    """Takes that are rendered while training goes on, so that none needs to be heard often; see `takes`.

    workers: processes that render before and beside the training. keep: takes on disk, 1.4 MB each; the oldest go
    when new ones come. first: takes that there must be before training begins. batch_size: pairs judged by
    responses at each step; sound_size: pairs judged by sound, once `sound_from` steps are done. chain: the model's
    effects, in playing order. All else: see `RecordingsDataModule`.
    """

    KEPT = "takes"

    def __init__(
        self, folder: str, *, keep: int = 12800, first: int = 640, validation_takes: int = 256, batch_size: int = 256,
        sound_size: int = 16, sound_from: int = 6000, colour_db: float = 2.0, chain: Sequence[str] = CANONICAL,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(folder, **kwargs)
        self.save_hyperparameters()
        self.chain = ChainParameters(tuple(chain))
        self.keep, self.first, self.validation_takes = keep, first, validation_takes
        self.batch_size, self.sound_size, self.sound_from, self.colour_db = (
            batch_size,
            sound_size,
            sound_from,
            colour_db,
        )
        self._renderers: list[Any] = []

    def prepare_data(self) -> None:
        """Decode the recordings, render those takes that validation and the beginning need, and go on rendering.

        Lightning calls this on one process of each node.
        """
        homes, (train, held_out) = self._homes(), self.recordings()
        self._check_room(homes, [*train, *held_out])
        order, impulses = self.chain.order, Impulses(*impulse_responses(self.folder))
        decoded(train, self.cache).check_heard("train on")  # decodes once, before several processes open them
        decoded(held_out, self.cache).check_heard("validate on (held out)")
        render_until(homes[1], held_out, self.cache, [self.seed, 1], NO_IMPULSES, order, self.validation_takes, False)
        if not self.workers:
            render_until(homes[0], train, self.cache, [self.seed, 0], impulses, order, self.first, True)
        spawn, of_a_shard = get_context("spawn"), max(1, min(TAKES, self.first))
        homes[0].mkdir(parents=True, exist_ok=True)
        for worker in range(self.workers):
            arguments = homes[0], train, self.cache, [self.seed, 2, worker], impulses, order, of_a_shard, self.keep
            self._renderers.append(spawn.Process(target=render_on, args=arguments, daemon=True))
            self._renderers[-1].start()
        self._wait_for(homes[0], self.first // of_a_shard)

    def _wait_for(self, home: Path, shards: int) -> None:
        """Wait until the renderers have rendered what training begins with."""
        from rich.progress import Progress

        with Progress() as progress:
            task = progress.add_task("Rendering takes", total=shards)
            while (there := len(names(home))) < shards:
                progress.update(task, completed=there)
                if not all(process.is_alive() for process in self._renderers):
                    raise RuntimeError("a process that renders takes has ended; what it said is above")
                time.sleep(1.0)

    def _check_room(self, homes: Sequence[Path], recordings: Sequence[Recording]) -> None:
        """Say before any work that a disk will be full: raises NoRoom if training could not begin, else warns."""
        there = sum(TAKES * len(names(home)) for home in homes if home.is_dir())
        self.cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.cache).free
        samples = 2.0 * SAMPLE_RATE * sum(r.seconds for r in recordings)
        first, all_of_it = (
            samples + TAKE_BYTES * max(0, takes + self.validation_takes - there) for takes in (self.first, self.keep)
        )
        wanted = first if free < first else all_of_it
        said = (
            f"{self.cache} has room for {free / 1e9:.1f} GB, and the takes will need {wanted / 1e9:.1f} GB: "
            "name another place with --data.cache, or keep fewer takes with --data.keep"
        )
        if free < first:
            raise NoRoom(said)
        if free < all_of_it:
            log.warning("%s", said)

    def teardown(self, stage: str) -> None:
        """End the renderers."""
        for process in self._renderers:
            process.terminate()
            process.join()
        self._renderers.clear()

    def _homes(self) -> tuple[Path, Path]:
        parts = FeatureExtractor, takes, priors, outcome, chains, compressors, distortions, filters, reverbs
        train, held_out = (
            self.cache / made_of(recordings, self.chain, parts, self.seed, vary)
            for recordings, vary in zip(self.recordings(), (True, False), strict=True)
        )
        return train, held_out

    def setup(self, stage: str | None = None) -> None:
        """Open what is rendered so far, on every process."""
        self._train, self._validation = self._homes()

    def statistics(self) -> torch.Tensor:
        """Give raw statistics of clips (clips, size), for the network's normalisation."""
        return torch.from_numpy(load(self._train, self.chain).clips)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Stream(self), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Fixed(load(self._validation, self.chain), self.sound_size), batch_size=None)


class Stream(IterableDataset):
    """Batches of pairs out of the newest takes, without end: {"responses": Batch, "sound": Batch}."""

    RELOAD = 250
    """Batches after which newly rendered takes come in."""

    def __init__(self, of: TakesDataModule) -> None:
        self._of = of

    def __iter__(self) -> Iterator[dict[str, Batch]]:
        of, done = self._of, self._of.trainer.global_step if self._of.trainer else 0
        rank = of.trainer.global_rank if of.trainer else 0
        rng = np.random.default_rng([of.seed, done, rank])
        while True:
            shards = load(of._train, of.chain)
            pairs = Pairs(shards, int(rng.integers(1 << 62)), of.colour_db)
            responses, sound = (_order(len(shards), size, rng) for size in (of.batch_size, of.sound_size))
            for _ in range(self.RELOAD):
                batch = {"responses": pairs.batch(next(responses), False)}
                if done >= of.sound_from and of.sound_size:
                    batch["sound"] = pairs.batch(next(sound), True)
                done += 1
                yield batch


def _order(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Give rows by the batch in random order, each once before any comes again."""
    size = min(size, count)
    while size:
        order = rng.permutation(count)
        for i in range(0, count - size + 1, size):
            yield order[i : i + size]


class Fixed(IterableDataset):
    """Every row of the validation takes once, the input from the reference's recording and from another in turn."""

    def __init__(self, shards: Shards, size: int) -> None:
        self._shards, self._size = shards, size

    def __iter__(self) -> Iterator[Batch]:
        pairs, rows = Pairs(self._shards, 0, 0.0, 0.0), np.arange(len(self._shards))
        for i in range(0, len(rows), self._size):
            some = rows[i : i + self._size]
            yield pairs.batch(some, True, some % 2 == 0)


# --- rendering -----------------------------------------------------------------------------------------------


def render_until(
    home: Path,
    recordings: Sequence[Recording],
    cache: Path,
    seed: list[int],
    impulses: Impulses,
    order: tuple[str, ...],
    count: int,
    vary: bool,
) -> None:
    """Render shards into a folder until it holds so many takes."""
    home.mkdir(parents=True, exist_ok=True)
    while TAKES * len(names(home)) < count:
        number = len(names(home))
        renderer = Renderer(decoded(recordings, cache), [*seed, number], impulses, vary, order)
        renderer.shard(min(TAKES, count)).write(home / f"{seed[-1]:02d}-{number:06d}")


def render_on(
    home: Path, recordings: Sequence[Recording], cache: Path, seed: list[int], impulses: Impulses,
    order: tuple[str, ...], takes: int, keep: int,
) -> None:  # fmt: skip
    """Render shards of `takes` without end, in a process of its own; the oldest go beyond `keep` takes."""
    torch.set_num_threads(1)
    home.mkdir(parents=True, exist_ok=True)
    sounds, number = decoded(recordings, cache), 0
    while True:
        place = home / f"{seed[-2]:02d}{seed[-1]:02d}-{number:06d}"
        number += 1
        if place.exists():
            continue
        Renderer(sounds, [*seed, number], impulses, order=order).shard(takes).write(place)
        there = sorted(names(home), key=lambda p: p.stat().st_mtime)
        for old in there[: max(0, len(there) - keep // takes)]:
            shutil.rmtree(old, ignore_errors=True)
