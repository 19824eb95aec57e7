"""JSON from elsewhere, checked, and JSON that every parser reads.

Every check raises SchemaError with the place of the value (`chain[0].ratio`), the value, what is allowed and,
for a misspelt key, the nearest one. Callers put the file's name in front.
"""

import difflib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

MAX_TEXT = 4000
"""Characters of any one text."""


class SchemaError(ValueError):
    """JSON that does not fit. The message names place, value and what is allowed."""


def parse_json(text: str | bytes, max_bytes: int) -> dict[str, Any]:
    """Parse a strict JSON object: UTF-8, no duplicate key, bounded length and nesting. Raises SchemaError.

    NaN and Infinity are let through for `number`, which knows their place.
    """
    if len(text) > max_bytes:
        raise SchemaError(f"is longer than the {max_bytes} bytes allowed")
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        data = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=float)
    except SchemaError:
        raise
    except UnicodeDecodeError as error:
        raise SchemaError(f"is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        here = error.doc[max(error.pos - 1, 0) : error.pos + 2]
        comment = any(mark in here for mark in ("//", "/*", "#"))
        why = "JSON has no comments: take this one out" if comment else error.msg
        raise SchemaError(f"line {error.lineno}, column {error.colno}: is not JSON: {why}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested too deep
        raise SchemaError(f"is not readable JSON: {error}") from None
    return as_object(data, "the file")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise SchemaError(f"{shown(key)}: the key is there twice")
        made[key] = value
    return made


def shown(value: Any) -> str:
    """Write any value for a message, in at most 60 characters or so."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**15 else "a huge number"
    return f"{value:.9g}" if isinstance(value, float) else json.dumps(value, default=lambda v: type(v).__name__)


def nearest(word: Any, words: Iterable[str]) -> str:
    """Give " (did you mean …?)" with the nearest of `words`, or nothing if none is near."""
    near = difflib.get_close_matches(word[:60], words, 1, 0.5) if isinstance(word, str) else []
    return f" (did you mean {near[0]}?)" if near else ""


def known_keys(data: Mapping[str, Any], keys: Collection[str], what: str, where: str = "") -> None:
    """Refuse a key that is not one of `keys`."""
    for key in data:
        if key not in keys:
            plain = isinstance(key, str) and key.isascii() and key.isidentifier() and len(key) <= 60
            place = f"{where}{key if plain else shown(key)} = {shown(data[key])}"
            raise SchemaError(f"{place}: {what} has no such key{nearest(key, keys)}; it has {', '.join(keys)}")


def as_object(value: Any, where: str) -> dict[str, Any]:
    """Check that a value is an object, and copy it."""
    if not isinstance(value, Mapping):
        raise SchemaError(f"{where}: {shown(value)} is not an object")
    return dict(value)


def as_list(value: Any, where: str, of: str, max_items: int) -> list[Any]:
    """Check that a value is a list of at most `max_items`; `of` says what is in it, for the message."""
    if not isinstance(value, list | tuple) or len(value) > max_items:
        raise SchemaError(f"{where}: {shown(value)} is not a list of at most {max_items} {of}")
    return list(value)


def number(value: Any, where: str, low: float, high: float) -> float:
    """Check that a value is a finite number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(_float(value)):
        raise SchemaError(f"{where}: {shown(value)} is not a number in [{low:g}, {high:g}]")
    if not low <= value <= high:
        raise SchemaError(f"{where}: {shown(value)} is not in [{low:g}, {high:g}]")
    return float(value)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def numbers(value: Any, where: str, low: float, high: float, count: int | None = None) -> list[float]:
    """Check that a value is a list of `count` finite numbers in [low, high]; any number of them for None."""
    values = as_list(value, where, "numbers", 10_000)
    if count is not None and len(values) != count:
        raise SchemaError(f"{where}: {len(values)} numbers; {count} are needed")
    return [number(v, f"{where}[{i}]", low, high) for i, v in enumerate(values)]


def text(value: Any, where: str, max_length: int = MAX_TEXT) -> str:
    """Check that a value is text that UTF-8 can hold, without control characters."""
    if not isinstance(value, str):
        raise SchemaError(f"{where}: {shown(value)} is not text")
    if len(value) > max_length:
        raise SchemaError(f"{where}: {len(value)} characters; at most {max_length}")
    if any((c < " " and c not in "\n\t") or "\ud800" <= c <= "\udfff" for c in value):
        raise SchemaError(f"{where}: {shown(value)} holds a control character or half a surrogate pair")
    return value


def finite(data: Any) -> Any:
    """Replace NaN and the infinities in plain data by None: JSON (RFC 8259) has no word for them."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
