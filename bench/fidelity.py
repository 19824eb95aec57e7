"""Does live do what files do? Level, restraint, streaming against files, steadiness, and the cost of inference.

    .venv-bench/bin/python bench/fidelity.py --folder RECORDINGS > bench/FIDELITY.md

Session, input analysis and engine are the live ones; only the sound card is missing, so a minute takes seconds.
Recordings and effects are the study's: our own effects, on recordings that training never used.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

if __name__ in ("__main__", "__mp_main__"):  # before numpy comes in: processes share the cores
    for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import numpy as np
import soundfile
import yaml
from common import machine, table

from afx_live.chain import ChainSettings, play_clip
from afx_live.dsp.loudness import at_loudness, integrated_loudness
from afx_live.matching import match_clip, read_clip, read_reference
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.audio import render
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.safety import LOOKAHEAD
from afx_live.realtime.session.input_analyser import INTERVAL_S
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from afx_live.study.metrics.audio import matched_stft_error
from afx_live.study.metrics.bootstrap import bootstrap_interval
from afx_live.study.metrics.spectrum import third_octave_levels
from afx_live.study.pairs.condition import MODES, Condition
from afx_live.study.pairs.generators import draw_pair
from afx_live.study.systems.registry import loaded
from afx_live.training.datamodules import held_out_of
from afx_live.training.recordings import Recording
from afx_live.training.recordings.decoded import playing

EFFECT_SETS = ("equaliser", "compressor", "distortion", "reverb", "all", "none")
RATE = 48000
GAINS = ("input_gain_db", "output_gain_db")
BLOCK = 512
FADE_S = 0.1
HEARD_S, JUDGED_S, REST_S = 10.0, 5.0, 60.0
"""Seconds of input before a stream is scored, of the stretch that is scored, and of watching settings at rest."""


class Stage:
    """A LiveEngine without a device: sound is fed by hand."""

    sample_rate = float(RATE)

    def __init__(self) -> None:
        self._engine = Engine(ChainSettings(), RATE)

    def play(self, settings, **flags):
        self._engine.shared.play(settings, **flags)

    def meters(self):
        return self._engine.shared.read()

    def recent_input(self, seconds):
        return self._engine.shared.recent_input(seconds, RATE)

    def feed(self, x: np.ndarray) -> np.ndarray:
        """Play a mono sound into both inputs; gives both ears of what comes out, (frames, 2)."""
        both = np.repeat(x[:, None], 2, 1).astype(np.float32)
        blocks = [self._engine.process(both[at : at + BLOCK]) for at in range(0, len(x), BLOCK)]
        return np.concatenate(blocks).astype(np.float64)


@dataclass(frozen=True)
class Outcome:
    """One pair: errors of doing nothing, of the file and of the stream, errors of level, and movement at rest."""

    row: str
    mode: str
    recording: str
    nothing: float
    file: float
    live: float
    file_lu: float
    live_lu: float
    thirds_db: float
    moved_db: float
    moved_octaves: float


def ask(job: tuple[list[Recording], Path, str, str, int, int]) -> Outcome:
    """Match one pair as a file, and as a stream that plays it in a loop."""
    recordings, model, row, mode, index, seed = job
    pair = draw_pair(Condition(effect_set=row, mode=mode), recordings, index, seed)
    predictor, x = loaded(model), pair.input
    lufs = integrated_loudness(pair.reference, RATE)
    rounds = _round(x, HEARD_S + JUDGED_S)
    judged = slice(int(HEARD_S * RATE), None)
    assert pair.settings is not None
    truth = play_clip(pair.settings, rounds, RATE)[judged]
    with TemporaryDirectory() as folder:
        written = [Path(folder, name) for name in ("reference.wav", "input.wav", "out.wav")]
        for path, sound in zip(written, (pair.reference, rounds), strict=False):
            soundfile.write(path, sound, RATE, "FLOAT")
        reference = read_reference(written[0], predictor)
        heard = read_clip(written[1])
        found = match_clip(heard, predictor, [reference])
        reached_lufs = render.render(heard, found, written[2], lambda frames: None).lufs
        file = soundfile.read(written[2])[0][judged]

    stage = Stage()
    state = SessionState(ChainSettings.default(predictor.chain.order), references=(reference,))
    session = Session(stage, predictor, state)
    session.edit(replace, "")  # the stage is to play it
    live = _streamed(stage, session, rounds, [])
    live = live[judged.start + LOOKAHEAD + session.state.playing.latency :]  # as late as it says
    chains: list[ChainSettings] = [session.state.playing]
    _streamed(stage, session, _round(x, REST_S), chains)
    moved_db, moved_octaves = _moved(chains)
    session.close()
    levelled = (at_loudness(s, RATE, -23.0) for s in (file, rounds[judged]))
    ours, theirs = (third_octave_levels(s, RATE)[1] for s in levelled)
    loud = theirs > theirs.max() - 50.0
    return Outcome(
        row,
        mode,
        pair.recording,
        matched_stft_error(rounds[judged], truth, RATE),
        matched_stft_error(file, truth, RATE),
        matched_stft_error(live.mean(1), truth[: len(live)], RATE),
        abs(reached_lufs - lufs),
        abs(integrated_loudness(live, RATE) - lufs),
        float(np.abs(ours - theirs)[loud].mean()),
        moved_db,
        moved_octaves,
    )


def _round(x: np.ndarray, seconds: float) -> np.ndarray:
    """Loop a sound; its end fades into its reversed beginning, to avoid a click."""
    n = int(FADE_S * RATE)
    share, whole = np.linspace(0.0, 1.0, n), x.copy()
    whole[-n:] = (1.0 - share) * x[-n:] + share * x[:n][::-1]
    return np.resize(whole, int(seconds * RATE))


def _streamed(stage: Stage, session: Session[Stage], x: np.ndarray, chains: list[ChainSettings]) -> np.ndarray:
    """Feed a sound, looking as often as live does; `chains` collects what plays after each look."""
    step, out = int(INTERVAL_S * RATE), []
    for at in range(0, len(x), step):
        out.append(stage.feed(x[at : at + step]))
        session.follower.listen()
        chains.append(session.state.playing)
    return np.concatenate(out)


def _moved(chains: list[ChainSettings]) -> tuple[float, float]:
    """Return the largest movement between the first and any later chain: in dB, and in octaves.

    An effect that is switched counts as moving from or to its neutral values.
    """
    most_db = most_octaves = 0.0
    first = chains[0]
    for chain in chains[1:]:
        most_db = max(most_db, *(abs(getattr(chain, g) - getattr(first, g)) for g in GAINS))
        for now, then in zip(chain.effects, first.effects, strict=True):
            for name in now.values:
                a, b = ((s if s.enabled else s.scaled(0.0)).values[name] for s in (now, then))
                if name.endswith("_db"):
                    most_db = max(most_db, abs(a - b))
                elif name.endswith("_hz") and now.enabled and then.enabled:
                    most_octaves = max(most_octaves, abs(float(np.log2(a / b))))
    return most_db, most_octaves


def look_ms(model: Path, recordings: list[Recording], times: int = 50) -> float:
    """Time one inference for 5 s, encoder and controller, on one thread; the median in milliseconds."""
    predictor = loaded(model)
    x = draw_pair(Condition(effect_set="none", mode="same"), recordings, 0, 1).input
    took = []
    for _ in range(times):
        begin = perf_counter()
        heard = predictor.analyse(x, RATE)
        predictor.predict(heard, [heard])
        took.append(perf_counter() - begin)
    return 1e3 * float(np.median(took))


def page(found: list[Outcome], look: float, model: Path, recordings: int) -> str:
    """Write the page."""
    streamed, levels = [], []
    for mode in MODES:
        for row in EFFECT_SETS:
            rows = [o for o in found if (o.row, o.mode) == (row, mode)]
            groups = [o.recording for o in rows]
            file, live, nothing = (np.array([getattr(o, k) for o in rows]) for k in ("file", "live", "nothing"))
            more = bootstrap_interval(live - file, groups)
            share = f"{live.mean() / file.mean() - 1:+.0%}" if row != "none" else "–"
            means = (nothing.mean(), file.mean(), live.mean(), (live - file).mean())
            streamed.append(
                [
                    f"{mode} recording",
                    row,
                    len(rows),
                    *(f"{v:.3f}" for v in means[:3]),
                    share,
                    "{:+.3f} [{:+.3f}, {:+.3f}]".format(means[3], *more),
                ]
            )
            worst = [np.quantile([getattr(o, k) for o in rows], 0.95) for k in ("file_lu", "live_lu")]
            still = [np.mean([o.moved_db <= 0.5 and o.moved_octaves <= 1 / 12 for o in rows])]
            thirds = [np.mean([o.thirds_db for o in rows])]
            levels.append(
                [
                    f"{mode} recording",
                    row,
                    *(f"{v:.2f}" for v in worst),
                    *(f"{v:.0%}" for v in still),
                    *(f"{v:.2f}" for v in thirds),
                ]
            )
    moved = np.quantile([o.moved_db for o in found], 0.95)
    octaves = np.quantile([o.moved_octaves for o in found], 0.95)
    about = loaded(model).description
    columns = ["reference", "effect set"]
    return f"""# Fidelity, live

`{Path(__file__).name}` wrote this page, with the model {about.name} ({about.data["parameters"]:,}
parameters) on {recordings} recordings that training never used, 5 s each, our own effects with random settings.

**Streaming.** Loudness-matched STFT error of a stream after {HEARD_S:g} s of input, and of a file with the same
content; lower is better, 95 % intervals over recordings.

{table([*columns, "pairs", "doing nothing", "file", "live", "live against file", "difference"], streamed)}

**Level, steadiness and restraint.** 95th percentile of the distance from the reference's loudness in LU (file; live
after {HEARD_S:g} s); share of pairs whose settings then moved by at most 0.5 dB and a twelfth of an octave over
{REST_S:g} s (5 s of sound in a loop; 95 % of all pairs moved by at most {moved:.2f} dB and {octaves:.3f} octaves); mean
change of third-octave bands in dB, which should be 0 for "none".

{table([*columns, "file, LU", "live, LU", "at rest", "thirds, dB"], levels)}

**Inference** for 5 s of sound, encoder and controller, one thread: {look:.0f} ms (median of 50).

{machine("numpy", "onnxruntime-gpu", "numba")}
"""


def main() -> None:
    """Evaluate every pair, and print the page."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "", allow_abbrev=False)
    p.add_argument("--folder", required=True, help="folder of recordings")
    p.add_argument(
        "--config", type=Path, default=Path("training/configs/split.yaml"), help="training config: what is held out"
    )
    p.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    p.add_argument("-n", type=int, default=30, help="pairs of each effect set and mode (30)")
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    data = yaml.safe_load(a.config.read_text())["data"]
    recordings = held_out_of(playing(a.folder), data["held_out"], data["test"])[1]
    look = look_ms(a.model, recordings)
    jobs = [(recordings, a.model, row, mode, i, a.seed) for i in range(a.n) for row in EFFECT_SETS for mode in MODES]
    with ProcessPoolExecutor(a.workers, get_context("spawn")) as pool:
        found = list(pool.map(ask, jobs, chunksize=4))
    print(page(found, look, a.model, len(recordings)), end="")


if __name__ == "__main__":
    main()
