"""What was chosen, in words for people."""

from ..chain import ChainSettings
from ..effects import load

OUT_OF_RANGE = "the reference is out of reach: something in its sound is beyond this chain"


NOTHING = {
    None: "nothing: no effect is on",
    True: "nothing: the input already sounds like that",
    False: "nothing: no effect of this chain brings it nearer",
}
"""What a chain without effects does: given, or chosen for a reference that is within reach, or is not."""


def sentences(settings: ChainSettings, in_range: bool | None = None) -> list[str]:
    """Say what a chain does, an effect a line; effects that are off are left out. `in_range` as in `Match`."""
    lines = [f"{each.effect:<11}{load(each.effect).summary(each.values)}" for each in settings.effects if each.enabled]
    level = f"level      {settings.input_gain_db:+.1f} dB in, {settings.output_gain_db:+.1f} dB out"
    return [*(lines or [NOTHING[in_range]]), level]
