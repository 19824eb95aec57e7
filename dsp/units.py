"""Units: what names end in, and how people write them."""

UNITS = {"db": "dB", "hz": "Hz", "ms": "ms", "s": "s", "lufs": "LUFS"}


def unit_of(name: str) -> str:
    """Give the unit that a name ends in, or "".

    >>> unit_of("rt60_s"), unit_of("mix"), unit_of("peak_1_q")
    ('s', '', '')
    """
    stem, _, end = name.rpartition("_")
    return end if stem and end in UNITS else ""


def in_hz(hz: float) -> str:
    """Write a frequency.

    >>> in_hz(220.0), in_hz(12000.0)
    ('220 Hz', '12.0 kHz')
    """
    return f"{hz / 1000:.1f} kHz" if hz >= 1000 else f"{hz:.0f} Hz"
