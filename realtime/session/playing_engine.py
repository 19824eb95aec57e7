"""What a session needs of an engine, whether that plays live (`LiveEngine`) or recordings (`FileEngine`)."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import numpy as np

from ...chain import ChainSettings


class PlayingEngine(Protocol):
    """An engine that plays an input. Any thread makes these calls; they do not block for long."""

    @property
    def sample_rate(self) -> float:
        """That of the input, in Hz."""
        ...

    def play(self, settings: ChainSettings, *, bypass: bool, muted: bool, dry_gain_db: float, cross_over: bool) -> None:
        """Play these settings from now on; flags as in `Shared.play`."""
        ...

    def meters(self) -> Mapping[str, Any]:
        """Give the meters; `in_lufs` and `out_lufs`, in LUFS, are among them."""
        ...

    def recent_input(self, seconds: float) -> np.ndarray:
        """Give the last seconds of input (frames, channels) at `sample_rate`; shorter where there are not so many."""
        ...


EngineT = TypeVar("EngineT", bound=PlayingEngine)
"""The kind of engine that a session has."""
