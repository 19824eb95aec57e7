"""The data side of training: recordings in, batches of pairs out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import platformdirs
from torch.utils.data import DataLoader

from .pairs import Pairs, Statistics, collate, load_statistics, render_statistics
from .recordings.recordings import Recording, find, split


def held_out_of(
    known: Sequence[Recording], held_out: Sequence[str], test: Sequence[str]
) -> tuple[list[Recording], list[Recording]]:
    """Give the recordings for validation and those for nothing but the study (none without patterns)."""
    rest, kept = split(known, test) if test else (list(known), [])
    return split(rest, held_out)[1], kept


class RecordingsDataModule(lightning.LightningDataModule, ABC):
    """What is made once from any folder of recordings, and from LibriTTS, VCTK and MUSDB18 as they come.

    folder: where the recordings are; layout: auto, folder, folders, libritts, vctk or musdb18.
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

    def recordings(self) -> tuple[list[Recording], list[Recording]]:
        """Give the recordings to train on and those for validation."""
        known = find(self.folder, self.layout)
        validation, test = held_out_of(known, self.held_out, self.test)
        return [r for r in known if r not in validation and r not in test], validation


class Rendered(RecordingsDataModule):
    """Takes, rendered before training.

    takes, validation_takes: how many; a cut-off render goes on where it stopped. All else: see `FromRecordings`.
    """

    def __init__(self, folder: str, *, takes: int = 6000, validation_takes: int = 300, **kwargs: Any) -> None:
        super().__init__(folder, **kwargs)
        self.takes, self.validation_takes = takes, validation_takes

    @abstractmethod
    def render(self, recordings: Sequence[Recording], takes: int, seed: int, vary: bool) -> Path:
        """Render takes, varied as training needs them or not; returns their folder."""

    @abstractmethod
    def load(self, home: Path, takes: int) -> Any:
        """Open a rendered folder."""

    def prepare_data(self) -> None:
        """Render what the cache lacks. Lightning calls this on one process of each node."""
        train, held_out = self.recordings()
        self._homes = (
            self.render(train, self.takes, self.seed, True),
            self.render(held_out, self.validation_takes, self.seed + 1, False),
        )

    def setup(self, stage: str | None = None) -> None:
        """Open the renders on every process."""
        self.prepare_data()  # all there by now: finds the folders
        self.train = self.load(self._homes[0], self.takes)
        self.validation = self.load(self._homes[1], self.validation_takes)


class PairsDataModule(Rendered):
    """Pairs by their statistics; a take is two stretches, one of which 6 random chains play.

    variants: the part of all chains that laws of other kinds play, see `laws`; 0 is our own effects only.
    colour_db, spoilt: see `Pairs`; for training only.
    """

    KEPT = "statistics"
    train: Statistics
    validation: Statistics

    def __init__(
        self,
        folder: str,
        *,
        batch_size: int = 256,
        variants: float = 0.5,
        colour_db: float = 2.0,
        spoilt: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(folder, **kwargs)
        self.save_hyperparameters()
        self.batch_size, self.variants, self.colour_db, self.spoilt = batch_size, variants, colour_db, spoilt

    def render(self, recordings: Sequence[Recording], takes: int, seed: int, vary: bool) -> Path:
        return render_statistics(recordings, self.cache, takes, seed, self.workers, vary, self.variants)

    def load(self, home: Path, takes: int) -> Statistics:
        return load_statistics(home, takes)

    @property
    def statistics(self) -> Statistics:
        """The training statistics, for the model's normalisation."""
        return self.train

    def train_dataloader(self) -> DataLoader:
        rows = Pairs(self.train, colour_db=self.colour_db, spoilt=self.spoilt)
        return DataLoader(rows, self.batch_size, shuffle=True, collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Pairs(self.validation, self.seed), self.batch_size, collate_fn=collate)
