"""An effect with the values it is set to: what a chain is made of, `Compressor(threshold_db=-30.0)`."""

import inspect
from functools import cache
from typing import Any, ClassVar

import numpy as np

from ..dsp.array_math import is_tensor
from ..effects import Effect, Param, load, names
from .settings import EffectSettings


class Processor:
    """An effect and the values of its parameters, by keyword; those not given are at their defaults.

    There is one class for each effect, named like it (`Compressor`, `Reverb`), made by `processor_class`.
    A value is a number or what `Effect.__call__` allows: an array that moves, a tensor of torch that is
    trained. `enabled` says whether a chain plays the effect.

    Raises TypeError for an unknown name, ValueError for a number out of range.
    """

    effect_name: ClassVar[str] = ""

    def __init__(self, *, enabled: bool = True, **values: Any) -> None:
        self.effect.check_names(values)
        for name, value in values.items():
            number = as_number(self.effect.param(name), value)
            if number is not None:
                self.effect.param(name).check(number)
        self.enabled, self.values = bool(enabled), dict(values)

    @staticmethod
    def of(settings: EffectSettings) -> "Processor":
        """Give an effect that is set to numbers as one of a chain to call."""
        made = processor_class(settings.effect)()
        made.enabled, made.values = settings.enabled, dict(settings.values)
        return made

    @property
    def effect(self) -> Effect:
        """The effect; of a name that is registered again, the newest."""
        return load(self.effect_name)

    def __call__(self, x: Any, sample_rate: float) -> Any:
        """Play a whole sound, an array or a tensor, from silence; see `Effect.__call__`."""
        return self.effect(x, sample_rate, **self.values) if self.enabled else x

    @property
    def settings(self) -> EffectSettings:
        """The same as numbers; TypeError if a parameter moves or differs within a batch."""
        numbers = {}
        for name, value in self.values.items():
            number = as_number(self.effect.param(name), value)
            if number is None:
                raise TypeError(
                    f"{self.effect_name}: {name} holds several values; a stream or a preset needs one number"
                )
            numbers[name] = number
        return EffectSettings(self.effect_name, numbers, self.enabled)

    def __repr__(self) -> str:
        told = [f"{name}={value!r}" for name, value in self.values.items()]
        told += [] if self.enabled else ["enabled=False"]
        return f"{type(self).__name__}({', '.join(told)})"


def as_number(param: Param, value: Any) -> float | None:
    """Give a value as one number, None if it holds several; TypeError if it is none."""
    value = value.detach().cpu().numpy() if is_tensor(value) else value
    if isinstance(value, str | bytes | bool) or value is None:
        raise TypeError(f"{param.name}: {value!r} is neither a number, an array nor a tensor")
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{param.name}: {value!r} is neither a number, an array nor a tensor") from None
    return float(numbers.reshape(-1)[0]) if numbers.size == 1 else None


def class_name(effect: str) -> str:
    """Name an effect's class.

    >>> class_name("tape_echo")
    'TapeEcho'
    """
    return "".join(word.capitalize() for word in effect.split("_"))


def processor_class(name: str) -> type[Processor]:
    """Give an effect's class by the effect's name or the class's; AttributeError with those there are if it is none."""
    for effect in names():
        if name in (effect, class_name(effect)):
            return _class(effect, load(effect))
    raise AttributeError(f"{name!r} is not an effect; there are {', '.join(map(class_name, names()))}")


@cache
def _class(name: str, effect: Effect) -> type[Processor]:
    ranges = [f"    {p.name}: {p.doc}; {p.low:g} to {p.high:g}, default {p.default:g}" for p in effect.params]
    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = [inspect.Parameter(p.name, keyword, default=p.default) for p in effect.params]
    signature.append(inspect.Parameter("enabled", keyword, default=True))
    namespace = {
        "effect_name": name,
        "__doc__": "\n".join([f"The {name.replace('_', ' ')}, by keyword.", "", *ranges]),
        "__signature__": inspect.Signature(signature),
        "__module__": __name__.rpartition(".")[0],
    }
    return type(class_name(name), (Processor,), namespace)
