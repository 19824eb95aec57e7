"""JSON that every parser reads."""

import math
from typing import Any


def finite(data: Any) -> Any:
    """Replace NaN and the infinities in plain data by None: JSON (RFC 8259) has no word for them."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
