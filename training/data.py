"""The data side of training: recordings in, batches of pairs out."""

from collections.abc import Sequence
from pathlib import Path

import lightning
import platformdirs
from torch.utils.data import DataLoader

from .pairs import Pairs, Statistics, collate, load_statistics, render_statistics
from .recordings import Recording, find, split


def held_out_of(
    known: Sequence[Recording], held_out: Sequence[str], test: Sequence[str]
) -> tuple[list[Recording], list[Recording]]:
    """Give the recordings for validation and those for nothing but the study (none without patterns)."""
    rest, kept = split(known, test) if test else (list(known), [])
    return split(rest, held_out)[1], kept


class References(lightning.LightningDataModule):
    """Pairs from any folder of recordings, and from LibriTTS, VCTK and MUSDB18 as they come.

    folder: where the recordings are; layout: auto, folder, folders, libritts, vctk or musdb18.
    held_out: patterns of recordings kept out of training for validation; without any, a tenth.
    test: patterns of recordings that neither training nor validation may hear.
    takes: stretches drawn from the recordings, each played through 6 random chains once and kept
    in `cache`; a cut-off render goes on where it stopped. workers: processes that render.
    variants: the part of all chains that laws of other kinds play, see `laws`; 0 is our own effects only.
    colour_db: see `Pairs`; for training only.
    """

    def __init__(
        self,
        folder: str,
        layout: str = "auto",
        held_out: Sequence[str] = (),
        test: Sequence[str] = (),
        takes: int = 6000,
        validation_takes: int = 300,
        batch_size: int = 256,
        workers: int = 2,
        variants: float = 0.5,
        colour_db: float = 2.0,
        seed: int = 1,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.folder, self.layout = folder, layout
        self.held_out, self.test = tuple(held_out), tuple(test)
        self.takes, self.validation_takes = takes, validation_takes
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.variants, self.colour_db = variants, colour_db
        self.cache = Path(cache) if cache else Path(platformdirs.user_cache_dir("afx-live")) / "statistics"

    def recordings(self) -> tuple[list[Recording], list[Recording]]:
        """Give the recordings to train on and those for validation."""
        known = find(self.folder, self.layout)
        validation, test = held_out_of(known, self.held_out, self.test)
        return [r for r in known if r not in validation and r not in test], validation

    def prepare_data(self) -> None:
        """Render what the cache lacks. Lightning calls this on one process of each node."""
        train, held_out = self.recordings()
        self._homes = (
            render_statistics(train, self.cache, self.takes, self.seed, self.workers, share=self.variants),
            render_statistics(
                held_out, self.cache, self.validation_takes, self.seed + 1, self.workers, False, self.variants
            ),
        )

    def setup(self, stage: str | None = None) -> None:
        """Load the statistics on every process."""
        self.prepare_data()  # all there by now: finds the folders
        self.train = load_statistics(self._homes[0], self.takes)
        self.validation = load_statistics(self._homes[1], self.validation_takes)

    @property
    def statistics(self) -> Statistics:
        """The training statistics, for the model's normalisation."""
        return self.train

    def train_dataloader(self) -> DataLoader:
        return DataLoader(
            Pairs(self.train, colour_db=self.colour_db), self.batch_size, shuffle=True, collate_fn=collate
        )

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Pairs(self.validation, self.seed), self.batch_size, collate_fn=collate)
