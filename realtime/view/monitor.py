"""Status messages during a session: the match, drop-outs, restarted threads."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from ...matching.words import sentences
from ..audio.health import advice, drop_outs
from ..session.controls import FREEZE

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine
    from ..session.session import Session
    from .console import Console

log = logging.getLogger(__name__)

PERIOD_S = 0.25
QUIET_S = 3.0
"""Drop-outs while a stream starts are not reported."""


class SessionMonitor:
    """Reports on a session; call `check` every PERIOD_S.

    restartable: names of threads with their `revive`, which restarts one that has ended. freeze: freeze after the first
    match.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        session: "Session",
        console: "Console",
        restartable: Mapping[str, Callable[[], bool]],
        freeze: bool = False,
    ) -> None:
        self._engine, self._session, self._console, self._freeze = engine, session, console, freeze
        self._restartable = restartable
        self._reported: list[str] = []
        self._seen: list[str] = []
        self._drops = self._muted = 0
        self._enough = False
        self._began = monotonic()

    def check(self) -> None:
        """Check once. A failure is logged, and never ends the sound."""
        for part in (self._revive, self._choice, self._troubles, self._status):
            try:
                part()
            except Exception:
                log.exception("a status message failed")

    def _revive(self) -> None:
        for name, revive in self._restartable.items():
            if revive():
                self._console(f"warning: {name} had ended and was restarted; the sound played on")

    def _choice(self) -> None:
        state = self._session.state
        told = state.explanation
        if state.chosen:
            *chain, level = sentences(state.playing)
            if chain != self._reported and chain == self._seen:  # once stable; not for the level alone
                lines = [*map(str, told.effects), level, *filter(None, [told.verdict])] if told else [*chain, level]
                self._console("\n           ".join((f"Chain      {lines[0]}", *lines[1:])))
                self._reported = chain
            self._seen = chain
            if told and told.enough and told.listening and not self._enough:
                self._console(f"Heard      {told.listening.removeprefix('heard ')}")
            self._enough = bool(told and told.enough)
        if self._freeze and state.prediction is not None:
            self._session.apply({FREEZE: 1.0})
            self._freeze = False

    def _troubles(self) -> None:
        m = self._engine.meters()
        drops, muted = drop_outs(m), m["muted_blocks"]
        if drops >= self._drops + 3 and monotonic() - self._began > QUIET_S:
            of = f"{m['input_overflows']} in, {m['output_underflows']} out, {m['late']} late"
            load = f"load {100 * m['load_max']:.0f} % at most"
            self._console(f"{drops} drop-outs so far ({of}; {load}): {advice(self._engine.status)}")
            self._drops = drops
        if muted > self._muted:
            self._console(f"{muted} blocks muted so far: an effect produced NaN or infinity, and was reset")
            self._muted = muted

    def _status(self) -> None:
        m = self._engine.meters()
        self._console.status(
            f"in {m['in_lufs']:6.1f} LUFS  out {m['out_lufs']:6.1f} LUFS  reduction "
            f"{min(m['gain_reduction_db']):5.1f} dB  load {100 * m['load']:3.0f} %  drop-outs {drop_outs(m)}"
            + (f"  muted blocks {m['muted_blocks']}" if m["muted_blocks"] else "")
        )
