"""The study with other people's effects: `afx-study` with further generators, and Matchering as a system.

    sudo apt-get install sox ffmpeg swh-plugins tap-plugins
    .venv-bench/bin/pip install -e '.[train,dev]' -r bench/requirements.txt
    .venv-bench/bin/python bench/foreign.py run --generator pedalboard --folder RECORDINGS

Generators: pedalboard (JUCE's effects), sox, ffmpeg, ladspa (swh-plugins and tap-plugins, in ffmpeg); see
foreign_effects.py. Effect sets, and the order of effects, are those of "ours". Each effect is drawn by itself: "all"
has the same compressor as "compressor". Without --plan, the plan is foreign.yaml.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ in ("__main__", "__mp_main__"):  # before numpy comes in, as afx-study does: processes share the cores
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
from foreign_effects import LIBRARIES, Library

from afx_live.study.pairs.condition import Condition, Pair, Result
from afx_live.study.pairs.generators import GENERATORS
from afx_live.study.pairs.ours import EFFECT_SETS, effects_of
from afx_live.study.pairs.sources import Generator, played, stream
from afx_live.study.systems import registry
from afx_live.study.systems.playing import at_reference_loudness
from afx_live.training.recordings import Recording

PLAN = Path(__file__).with_name("foreign.yaml")


def _maker(library: Library):
    def make(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
        stages = []
        for effect in effects_of(condition.effect_set) if condition.intensity > 0 else ():
            stages += library.draw[effect](stream(condition.generator, effect, index, seed), condition.intensity)
        about = " ".join(map(str, stages)) or "nothing"
        return played(
            condition, recordings, index, seed, lambda x, rate: library.play(stages, x, rate) if stages else x, about
        )

    return make


def _matchering(pair: Pair) -> Result:
    """Match as Matchering 2 does, without its limiter; the level is the reference's in LUFS, as for all systems."""
    from matchering import Config, stages  # pyright: ignore[reportMissingImports]

    x, reference = (np.repeat(clip[:, None], 2, 1) for clip in (pair.input, pair.reference))
    config = Config(internal_sample_rate=pair.sample_rate)
    _, y, _ = stages.main(x, reference, config, need_default=False, need_no_limiter=True)
    return at_reference_loudness(pair, np.asarray(y, np.float64).mean(1))


GENERATORS.update({name: Generator(EFFECT_SETS, _maker(library)) for name, library in LIBRARIES.items()})
registry.SYSTEMS["matchering"] = lambda models, allowed: _matchering
registry.WITHOUT_CHAIN.add("matchering")


def main() -> None:
    from afx_live.study.cli import main

    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and not any(word.split("=")[0] == "--plan" for word in arguments):
        arguments += ["--plan", str(PLAN)]
    main(arguments)


if __name__ == "__main__":
    main()
