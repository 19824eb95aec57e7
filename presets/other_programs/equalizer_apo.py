"""Equalizer APO, for Windows: a text of filters, a line each (https://sourceforge.net/p/equalizerapo/wiki/).

Shelves are LSC and HSC, whose frequency is the corner's and which take a Q; LS and HS shift it. A reverb is
four convolutions on channels of their own names.
"""

from ...chain import ChainSettings
from .plan import DROPPED, EXACT, IMPULSE, PATHS, Export, bands, number, played, reverb_files

TYPES = {"low_shelf": "LSC", "peak": "PK", "high_shelf": "HSC"}


def write(settings: ChainSettings, name: str, sample_rate: float) -> Export:
    """Write NAME.txt, to be included in config.txt, and a WAV file for each path of a reverb."""
    made, lines, count = Export({f"{name}.txt": b""}), [f"# {name}, by afx-live"], 0

    def gain(gain_db: float) -> None:
        if gain_db != 0.0:
            lines.append(f"Preamp: {number(gain_db)} dB")

    gain(settings.input_gain_db)
    for each in played(settings):
        if each.effect == "equaliser":
            for band in bands(each.values):
                count += 1
                lines.append(
                    f"Filter {count}: ON {TYPES[band.kind]} Fc {number(band.hz)} Hz "
                    f"Gain {number(band.gain_db)} dB Q {number(band.q)}"
                )
            made.say(each.effect, EXACT)
        elif each.effect == "gain":
            gain(each.values["gain_db"])
            made.say(each.effect, EXACT)
        elif each.effect == "reverb":
            files = reverb_files(name, each, sample_rate)
            made.files |= files
            lines.append("Copy: " + " ".join(f"{path}={path[0]}" for path in PATHS))
            for path, file in zip(PATHS, files, strict=True):
                lines += [f"Channel: {path}", f"Convolution: {file}"]
            lines += ["Channel: all", "Copy: L=LL+RL R=LR+RR"]
            made.say(each.effect, IMPULSE, f"four files at {sample_rate:g} Hz, the device's rate must be the same")
        else:
            made.say(each.effect, DROPPED, "Equalizer APO has none")
    gain(settings.output_gain_db)
    made.files[f"{name}.txt"] = ("\r\n".join(lines) + "\r\n").encode()
    return made
