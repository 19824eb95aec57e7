"""What to play on: the devices, channels, rate and block size that a caller asks for."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamOptions:
    """How to open a stream; what is None is chosen, or left to the device.

    Devices are numbers or words from their names; channels count from 1. One input channel goes to both ears, one
    output channel gets the mean of both. `sample_rate` is in Hz, `block_size` in frames (0 leaves it to the host),
    `latency` in seconds, or "low" or "high". Raises ValueError for more than two channels.
    """

    input_device: int | str | None = None
    output_device: int | str | None = None
    api: str | None = None
    input_channels: Sequence[int] | None = None
    output_channels: Sequence[int] | None = None
    sample_rate: float | None = None
    block_size: int = 128
    latency: float | str = "low"

    def __post_init__(self) -> None:
        for name in ("input_channels", "output_channels"):
            channels = getattr(self, name)
            if channels is not None and len(channels) not in (1, 2):
                raise ValueError(f"{name}: {list(channels)}; one or two channels, not {len(channels)}")
