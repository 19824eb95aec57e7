"""The C library's meters, in its order, and how plug-ins show them."""

from ..chain.numbered import order
from ..effects import load

REDUCTIONS = {f"{name}_reduction_db": name for name in order() if load(name).meter is not None}
"""The meters of gain reduction, and the effect of each."""
METER_LABELS = {
    "in_lufs": "In loudness (LUFS)",
    "out_lufs": "Out loudness (LUFS)",
    "in_peak_db": "In peak",
    "out_peak_db": "Out peak",
    "ceiling_db": "Ceiling gain",
    **{meter: f"{name.capitalize()} gain reduction" for meter, name in REDUCTIONS.items()},
}
"""Every meter, and how people call it."""
METER_RANGE_DB = (-120.0, 60.0)
"""What they can show; the library itself knows only the lower end."""
