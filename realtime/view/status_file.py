"""The status file of a running afx-live: `state.json`, beside the shared block, for other processes to read.

It is replaced as a whole, at most five times a second, and only when something in it has changed. What is in it, and
how to read it: docs/status_file.md.
"""

import json
import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...chain import GAIN_NAMES
from ...effects import load
from ...files.atomic_write import atomic_path
from ...matching.equaliser_fit import settings_curve_db
from ...matching.words import sentences
from ..audio.health import advice
from ..audio.latency import parts_ms
from ..audio.shared_folder import SHARED
from ..audio.shared_memory import METERS
from ..session.spectra import HZ, Spectra, rounded
from ..threads import RestartableThread
from .status_reader import FILE

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine
    from ..session.session import Session
    from ..session.state import SessionState

log = logging.getLogger(__name__)

PERIOD_S = 0.2
SPECTRUM_PERIODS = 10
"""The input's spectrum is taken every so many periods."""
MAX_MESSAGES = 40


def fields() -> dict[str, tuple[int, str, int]]:
    """Say where each meter is in the shared block: offset in bytes, struct's letter, how many."""
    found = {}
    for name, (kind, offset, *_) in (METERS.fields or {}).items():
        base, shape = kind.subdtype or (kind, ())
        found[name] = (offset, {"i8": "q", "f8": "d"}[base.str[1:]], int(np.prod(shape)))
    return found


class Publisher:
    """Keep `state.json` up to date, on a thread of its own, while in its context.

    messages: a sequence of (seconds since 1970, text) that its owner appends to. osc: where OSC is received, host:port.
    keys: [key, what it does]. `latest` is the state that was published last.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        session: "Session[LiveEngine]",
        messages: Sequence[tuple[float, str]] = (),
        osc: str = "",
        keys: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._engine, self._session, self._messages = engine, session, messages
        self._fixed = {"osc": osc, "keys": [list(k) for k in keys]}
        self._spectra = Spectra()
        self.path = engine.folder / FILE
        self._written, self._round = "", 0
        self.latest: dict[str, Any] = {}
        self._closing, self._failed = threading.Event(), False
        self._worker = RestartableThread("the status file", self._run)
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
        """Publish; whatever goes wrong here must not matter to the sound, and is logged once."""
        try:
            self.publish()
            self._failed = False
        except Exception:
            if not self._failed:
                log.exception("%s is not up to date", self.path)
            self._failed = True

    def publish(self) -> None:
        """Write the file if anything in it has changed."""
        if self._engine.running and self._round % SPECTRUM_PERIODS == 0:
            self._spectra.update_input(self._engine)
        self._round += 1
        self.latest = self.state()
        text = json.dumps(self.latest, separators=(",", ":"), allow_nan=False)
        if text != self._written:
            with atomic_path(self.path, durable=False) as fresh:
                fresh.write_text(text, encoding="utf-8")
            self._written = text

    def state(self) -> dict[str, Any]:
        """Collect what docs/status_file.md describes."""
        state, stream = self._session.state, dict(self._engine.status)
        stream["running"] = self._engine.running
        return {
            "format": "afx-live-state",
            "version": 1,
            "pid": os.getpid(),
            "meters": {"file": SHARED, "fields": fields()},
            "stream": stream,
            "latency_ms": parts_ms(stream),
            **self._fixed,
            "reference": state.reference_name,
            "preset": state.preset_name,
            "amount": state.amount,
            "boldness": state.boldness,
            "only": sorted(state.only),
            "without": sorted(state.without),
            "bypass": state.bypass,
            "muted": state.muted,
            "frozen": state.frozen,
            **self._chain(state),
            "reached": state.in_range,
            "explanation": state.explanation.data() if state.explanation else None,
            "target_lufs": self._session.target_lufs,
            "error": state.error,
            "advice": advice(stream),
            "messages": [list(m) for m in list(self._messages)[-MAX_MESSAGES:]],
        }

    def _chain(self, state: "SessionState") -> dict[str, Any]:
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
                "amount": state.shares.get(step.effect, 1.0),
                "locked": state.holds(step.effect),
            }
            for i, step in enumerate(playing.effects)
        ]
        self._spectra.update_reference(state.references)
        equaliser = any(s.effect == "equaliser" and s.enabled for s in playing.effects)
        rate = self._engine.sample_rate
        curve = np.where(rate / 2 > HZ, settings_curve_db(playing, HZ, rate), np.nan) if equaliser else None
        curves = {
            "hz": rounded(HZ),
            "equaliser_db": None if curve is None else rounded(curve),
            "input_db": self._spectra.input,
            "reference_db": self._spectra.reference,
        }
        gains = {name: round(getattr(playing, name), 2) for name in GAIN_NAMES}
        return {**gains, "chain": chain, "curves": curves}
