"""What the user asks of the matching: --boldness, --only, --without, --lock."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...chain import ChainSettings
from ...matching.choices import Choices
from .errors import UsageError


@dataclass(frozen=True)
class Wishes:
    """The flags as they were given, see `matching.Choices`."""

    boldness: float | None = None
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    lock: Sequence[str] = ()

    def __bool__(self) -> bool:
        return self.boldness is not None or bool(self.only or self.without or self.lock)

    def choices(self, order: Sequence[str], playing: ChainSettings | None = None) -> Choices:
        """Check them against a model's effects and what plays at first. Raises UsageError with what is allowed."""
        try:
            return Choices.of(order, self.boldness, self.only or None, self.without, self.lock, playing)
        except ValueError as error:
            raise UsageError(f"--{error}") from None


NO_WISHES = Wishes()
