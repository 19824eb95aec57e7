"""What a second process may know of a running afx-live: `state.json`, beside the shared block.

The folder is `afx-live-…` in /dev/shm (or in the folder for temporary files), readable by its owner
only. `shared` holds meters that the audio thread writes at every block; `state.json` holds all that
changes seldom. It is replaced as a whole, at most five times a second, and only when something in it
has changed, so that a reader looks at its time stamp and never sees half of one. Both vanish with
the afx-live that made them.

    format, version, pid
    meters      file: "shared"; fields: {name: [offset in bytes, struct's letter, how many]}, native order;
                what each means stands in shared.py. gain_reduction_db counts the input gain as 0
    stream      running, input, output, api, sample_rate in Hz, block_size, input_latency and
                output_latency in s, priority (0: not a real-time one)
    latency_ms  algorithmic, block, device: they add up to the delay from input to output
    osc         where OSC is heard: host:port, or ""
    reference, preset, amount, bypass, muted, frozen, target_lufs (or null)
    error, advice   what went wrong in the matching, or ""; what helps against drop-outs
    input_gain_db, output_gain_db
    chain       for every effect: effect, on, dynamics (has a gain reduction), says (in words), values in
                the parameters' own units, as they play; probability of being on (or null)
    curves      hz (points, evenly spaced to the ear), equaliser_db (or null), input_db and reference_db (or
                null): third-octave spectra around their own mean; single values may be null
    messages    [seconds since 1970, text], the latest last
    keys        [key, what it does]
"""

import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from ...effects import load
from ...matching.equaliser_fit import of_settings
from ...matching.match import Reference
from ...matching.words import sentences
from ..audio.engine import LATENCY
from ..audio.shared_memory import METERS
from ..session.state import SessionState
from ..threads import RestartableThread
from .monitor import advice
from .status_reader import FILE

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine
    from ..session.session import Session

log = logging.getLogger(__name__)

PERIOD_S = 0.2
LOOKS = 10
"""Every so many periods the input's spectrum is taken."""
MOST_MESSAGES = 40
HZ = np.geomspace(30.0, 20000.0, 96)
MEAN_HZ = (100.0, 8000.0)
"""Spectra are given around their mean over this range."""
REFERENCE_S = 60.0
"""More of a reference is not looked at."""
HEARD_S, HEARD_LOOKS = 2.0, 5
"""Each look takes the last two seconds; the average forgets what is older than about five looks."""
QUIET_LUFS = -60.0


# --- spectra --------------------------------------------------------------------------------------


def power(x: np.ndarray, sample_rate: float) -> np.ndarray:
    """Give the mean power spectrum (bins,) of x (frames,) or (frames, channels); zeros for less than a window."""
    size = 1 << round(np.log2(sample_rate / 6.0))
    x = x[:, None] if x.ndim == 1 else x
    if len(x) < size:
        return np.zeros(size // 2 + 1)
    frames = np.lib.stride_tricks.sliding_window_view(x, size, 0)[:: size // 2] * np.hanning(size)
    return np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=(0, 1)) / size


def third_octaves(power: np.ndarray, sample_rate: float) -> list[float | None] | None:
    """Give the level of a third octave around each of HZ, in dB around their mean; None for silence."""
    step = sample_rate / (2 * (len(power) - 1))
    below, edges = np.concatenate([[0.0], np.cumsum(power)]), (np.arange(len(power) + 1) - 0.5) * step
    low, high = HZ * 2 ** (-1 / 6), HZ * 2 ** (1 / 6)
    band = np.interp(high, edges, below) - np.interp(low, edges, below)
    if not band.max() > 1e-12:
        return None
    level = 10.0 * np.log10(np.maximum(band, 1e-6 * band.max()))
    level -= level[(HZ >= MEAN_HZ[0]) & (HZ <= MEAN_HZ[1])].mean()
    return rounded(np.where(high <= sample_rate / 2, level, np.nan))


def rounded(values: Iterable[float]) -> list[float | None]:
    """Round to a tenth, as JSON can hold it: what is not finite becomes None."""
    return [round(float(v), 1) if np.isfinite(v) else None for v in values]


class _Spectra:
    """The spectra of what is heard and of the references; each is computed when it has changed."""

    def __init__(self) -> None:
        self._power, self._looks, self._rate = np.zeros(0), 0, 0.0
        self._paths: tuple[Path, ...] = ()
        self.input: list[float | None] | None = None
        self.reference: list[float | None] | None = None

    def hear(self, engine: "LiveEngine") -> None:
        """Add the last seconds of input to the average, unless it is silent."""
        rate = engine.sample_rate
        if rate != self._rate:
            self._rate, self._looks = rate, 0
        if not engine.meters()["in_lufs"] > QUIET_LUFS:
            return
        new = power(engine.heard(HEARD_S), rate)
        if not 0.0 < new.sum() < np.inf:
            return
        self._looks = min(self._looks + 1, HEARD_LOOKS)
        self._power = new if self._looks == 1 else self._power + (new - self._power) / self._looks
        self.input = third_octaves(self._power, rate)

    def refer(self, references: Sequence[Reference]) -> None:
        """Take other references, if they are others; several give their mean."""
        paths = tuple(r.path for r in references)
        if paths == self._paths:
            return
        self._paths = paths
        found = [np.array(s, float) for path in paths if (s := spectrum(path))]
        self.reference = rounded(np.mean(found, 0)) if found else None


def spectrum(path: Path) -> list[float | None] | None:
    """Give the spectrum of the first minute of a file; None if it is silent or cannot be read any more."""
    try:
        with soundfile.SoundFile(path) as file:
            rate, left = file.samplerate, int(REFERENCE_S * file.samplerate)
            blocks = [power(b, rate) for b in file.blocks(rate, frames=left, always_2d=True, dtype="float32")]
        return third_octaves(np.mean(blocks, 0), rate) if blocks else None
    except (OSError, soundfile.LibsndfileError) as error:
        log.info("no spectrum of %s: %s", path, error)
        return None


# --- the file -------------------------------------------------------------------------------------


def fields() -> dict[str, tuple[int, str, int]]:
    """Say where each meter lies in the shared block: offset in bytes, struct's letter, how many."""
    found = {}
    for name, (kind, offset, *_) in (METERS.fields or {}).items():
        base, shape = kind.subdtype or (kind, ())
        found[name] = (offset, {"i8": "q", "f8": "d"}[base.str[1:]], int(np.prod(shape)))
    return found


def latency_ms(stream: Mapping[str, Any]) -> dict[str, float]:
    """Split the delay from input to output, in ms: ours, the block's, and what the device claims beyond it."""
    rate = stream["sample_rate"]
    block = 1e3 * stream["block_size"] / rate
    claimed = 1e3 * (stream["input_latency"] + stream["output_latency"])
    parts = {"algorithmic": 1e3 * LATENCY / rate, "block": block, "device": max(claimed - block, 0.0)}
    return {name: round(ms, 2) for name, ms in parts.items()}


class Publisher:
    """Keep `state.json` up to date, on a thread of its own, while in its context.

    `messages` is a sequence of (seconds since 1970, text) that its owner appends to.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        session: "Session",
        messages: Sequence[tuple[float, str]] = (),
        osc: str = "",
        keys: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._engine, self._session, self._messages = engine, session, messages
        self._fixed = {"osc": osc, "keys": [list(k) for k in keys]}
        self._spectra = _Spectra()
        self._path, self._written, self._round = engine.folder / FILE, "", 0
        self._closing, self._failed = threading.Event(), False
        self._worker = RestartableThread("the state file", self._run)
        self.revive = self._worker.revive

    def __enter__(self) -> "Publisher":
        self._guarded()
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.finish()
        self._closing.set()
        self._worker.join(2.0)

    def _run(self) -> None:
        while not self._closing.wait(PERIOD_S):
            self._guarded()

    def _guarded(self) -> None:
        """Publish; whatever goes wrong here must not matter to the sound, and is told once."""
        try:
            self.publish()
            self._failed = False
        except Exception:
            if not self._failed:
                log.exception("%s is not up to date", self._path)
            self._failed = True

    def publish(self) -> None:
        """Write the file if anything in it has changed."""
        if self._engine.running and self._round % LOOKS == 0:
            self._spectra.hear(self._engine)
        self._round += 1
        text = json.dumps(self.state(), separators=(",", ":"), allow_nan=False)
        if text != self._written:
            fresh = self._path.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, self._path)
            self._written = text

    def state(self) -> dict[str, Any]:
        """Collect the state, as the module describes it."""
        state, stream = self._session.state, dict(self._engine.status)
        stream["running"] = self._engine.running
        return {
            "format": "afx-live-state",
            "version": 1,
            "pid": os.getpid(),
            "meters": {"file": "shared", "fields": fields()},
            "stream": stream,
            "latency_ms": latency_ms(stream),
            **self._fixed,
            "reference": state.reference_name,
            "preset": state.preset_name,
            "amount": state.amount,
            "bypass": state.bypass,
            "muted": state.muted,
            "frozen": state.frozen,
            **self._chain(state),
            "reached": state.in_range,
            "target_lufs": self._session.target_lufs,
            "error": state.error,
            "advice": advice(stream),
            "messages": [list(m) for m in list(self._messages)[-MOST_MESSAGES:]],
        }

    def _chain(self, state: SessionState) -> dict[str, Any]:
        playing, prediction = state.playing, state.prediction
        probability = list(prediction.probability) if prediction else []
        *said, _ = sentences(playing)
        words = dict(zip([s.effect for s in playing.effects if s.enabled], said, strict=False))
        chain = [
            {
                "effect": step.effect,
                "on": step.enabled,
                "dynamics": load(step.effect).meter is not None,
                "says": words.get(step.effect, "").removeprefix(step.effect).strip(),
                "values": {name: float(f"{v:.5g}") for name, v in step.values.items()},
                "probability": round(float(probability[i]), 3) if i < len(probability) else None,
            }
            for i, step in enumerate(playing.effects)
        ]
        self._spectra.refer(state.references)
        equaliser = any(s.effect == "equaliser" and s.enabled for s in playing.effects)
        rate = self._engine.sample_rate
        curve = np.where(rate / 2 > HZ, of_settings(playing, HZ, rate), np.nan) if equaliser else None
        curves = {
            "hz": rounded(HZ),
            "equaliser_db": None if curve is None else rounded(curve),
            "input_db": self._spectra.input,
            "reference_db": self._spectra.reference,
        }
        gains = {name: round(getattr(playing, name), 2) for name in ("input_gain_db", "output_gain_db")}
        return {**gains, "chain": chain, "curves": curves}
