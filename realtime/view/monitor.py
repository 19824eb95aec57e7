"""Status messages during a session: the match, drop-outs, restarted threads."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from ...dsp.dc_blocker import AUDIBLE_DC
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
FIRST_PAUSE_S, LONGEST_PAUSE_S = 4.0, 600.0
"""After a line on a fault so long passes before the next; each pause is twice the last while the fault goes on."""


class _Rarer:
    """Say when the same fault may be told again."""

    def __init__(self, first: float) -> None:
        self._next, self._pause = first, FIRST_PAUSE_S

    def due(self) -> bool:
        now = monotonic()
        if now < self._next:
            return False
        if now > self._next + 2 * self._pause:  # all was well for long
            self._pause = FIRST_PAUSE_S
        self._next, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE_S)
        return True


class SessionMonitor:
    """Reports on a session; call `check` every PERIOD_S.

    restartable: names of threads with their `revive`, which restarts one that has ended. freeze: freeze after the first
    match.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        session: "Session[LiveEngine]",
        console: "Console",
        restartable: Mapping[str, Callable[[], bool]],
        freeze: bool = False,
    ) -> None:
        self._engine, self._session, self._console, self._freeze = engine, session, console, freeze
        self._restartable = restartable
        self._reported: list[str] = []
        self._seen: list[str] = []
        self._drops = self._muted = 0
        began = monotonic()
        self._drops_told, self._muted_told = _Rarer(began + QUIET_S), _Rarer(began)
        self._told_of_dc = self._told_enough = False
        self._dc = 0.0

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
            *chain, level = sentences(state.playing, state.in_range if state.prediction is not None else None)
            if chain != self._reported and chain == self._seen:  # once stable; not for the level alone
                lines = [*map(str, told.effects), level, *filter(None, [told.verdict])] if told else [*chain, level]
                self._console("\n           ".join((f"Chain      {lines[0]}", *lines[1:])))
                self._reported = chain
            self._seen = chain
            if told and told.enough and told.listening and not self._told_enough:
                self._console(f"Heard      {told.listening.removeprefix('heard ')}")
            self._told_enough = bool(told and told.enough)
        if self._freeze and state.prediction is not None:
            self._session.apply({FREEZE: 1.0})
            self._freeze = False

    def _troubles(self) -> None:
        m = self._engine.meters()
        drops, muted = drop_outs(m), m["muted_blocks"]
        if drops >= self._drops + 3 and self._drops_told.due():
            of = f"{m['input_overflows']} in, {m['output_underflows']} out, {m['late']} late"
            load = f"load {100 * m['load_max']:.0f} % at most"
            self._console(f"{drops} drop-outs so far ({of}; {load}): {advice(self._engine.status)}")
            self._drops = drops
        self._direct_current(max(map(abs, m["in_dc"])))
        if muted > self._muted and self._muted_told.due():
            self._console(f"{muted} blocks muted so far: an effect produced NaN or infinity, and was reset")
            self._muted = muted

    def _direct_current(self, offset: float) -> None:
        risen, self._dc = offset < 1.1 * self._dc, offset  # a meter takes its time
        if offset > AUDIBLE_DC and risen and not self._told_of_dc:
            self._console(f"the input has a DC offset of {offset:.0%} of full scale; it is removed")
            self._told_of_dc = True

    def _status(self) -> None:
        m = self._engine.meters()
        self._console.status(
            f"in {m['in_lufs']:6.1f} LUFS  out {m['out_lufs']:6.1f} LUFS  reduction "
            f"{min(m['gain_reduction_db']):5.1f} dB  load {100 * m['load']:3.0f} %  drop-outs {drop_outs(m)}"
            + (f"  muted blocks {m['muted_blocks']}" if m["muted_blocks"] else "")
        )
