"""What was chosen, in words for people."""

from ..chain import ChainSettings
from ..effects import load

OUT_OF_RANGE = "the reference is out of reach: something in its sound is beyond this chain"


def sentences(settings: ChainSettings) -> list[str]:
    """Say what a chain does, an effect a line; effects that are off are left out."""
    lines = [f"{each.effect:<11}{load(each.effect).summary(each.values)}" for each in settings.effects if each.enabled]
    level = f"level      {settings.input_gain_db:+.1f} dB in, {settings.output_gain_db:+.1f} dB out"
    return [*(lines or ["nothing: no effect is on"]), level]
