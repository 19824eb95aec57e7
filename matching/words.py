"""What was chosen, in words for people."""

from ..chain import ChainSettings, EffectSettings

OUT_OF_RANGE = "the reference is out of reach: something in its sound is beyond this chain"


def sentences(settings: ChainSettings) -> list[str]:
    """Say what a chain does, an effect a line; effects that are off are left out."""
    lines = [f"{each.effect:<11}{summary(each)}" for each in settings.effects if each.enabled]
    level = f"level      {settings.input_gain_db:+.1f} dB in, {settings.output_gain_db:+.1f} dB out"
    return [*(lines or ["nothing: the input already sounds like that, or the chain cannot help"]), level]


def summary(each: EffectSettings) -> str:
    """Say what one effect is set to."""
    return _WORDS.get(each.effect, _plain)(each.values)


def _equaliser(v) -> str:
    bands = [n.removesuffix("_db") for n in v if n.endswith("_db") and abs(v[n]) >= 0.5]
    return ", ".join(f"{v[f'{b}_db']:+.1f} dB @ {_hz(v[f'{b}_hz'])}" for b in bands) or "flat"


def _compressor(v) -> str:
    times = f"attack {v['attack_ms']:.1f} ms, release {v['release_ms']:.0f} ms"
    return f"{v['threshold_db']:.0f} dB {v['ratio']:.1f}:1, {times}"


def _distortion(v) -> str:
    return f"drive {v['drive_db']:.1f} dB, mix {v['mix']:.0%}, tone {_hz(v['tone_hz'])}"


def _reverb(v) -> str:
    return f"RT60 {v['rt60_s']:.2f} s, mix {v['mix']:.0%}, pre-delay {v['predelay_ms']:.0f} ms"


def _plain(v) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in v.items())


def _hz(hz: float) -> str:
    return f"{hz / 1000:.1f} kHz" if hz >= 1000 else f"{hz:.0f} Hz"


_WORDS = {"equaliser": _equaliser, "compressor": _compressor, "distortion": _distortion, "reverb": _reverb}
