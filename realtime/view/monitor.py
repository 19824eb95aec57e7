"""What is told while it plays: what was chosen, how it goes, and which part fell over and was started again."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...matching.words import OUT_OF_REACH, sentences
from ..session.controls import FREEZE

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine
    from ..session.session import Session
    from .console import Console

log = logging.getLogger(__name__)

PERIOD_S = 0.25
QUIET_S = 3.0
"""Drop-outs while a stream starts are not told."""
LARGEST = 2048
"""Frames of the largest block that is advised."""


def drop_outs(meters: Mapping[str, Any]) -> int:
    """Count what was heard as a gap: blocks that came or went too late."""
    return meters["input_overflows"] + meters["output_underflows"] + meters["late"]


def advice(status: Mapping[str, Any]) -> str:
    """Say what helps against drop-outs: the next larger block, if there is one that is still playable."""
    larger = 1 << int(status["block_size"]).bit_length()
    if larger <= LARGEST:
        return f"--blocksize {larger} is safer"
    return "blocks are large already: end other programs, or ask afx-live doctor"


class SessionMonitor:
    """Look at everything once with `look`, four times a second.

    `helpers` are names of parts with their `revive`: started again if they have ended, and said to have.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        session: "Session",
        say: "Console",
        helpers: Mapping[str, Callable[[], bool]],
        freeze: bool = False,
    ) -> None:
        self._engine, self._session, self._say, self._helpers, self._freeze = engine, session, say, helpers, freeze
        self._told: list[str] = []
        self._seen: list[str] = []
        self._drops = self._muted = 0
        self._began = monotonic()

    def look(self) -> None:
        """Look once. What goes wrong in it is told, and never ends the sound."""
        for part in (self._revive, self._choice, self._troubles, self._status):
            try:
                part()
            except Exception:
                log.exception("telling how it goes failed")

    def _revive(self) -> None:
        for name, revive in self._helpers.items():
            if revive():
                self._say(f"warning: {name} had ended and was started again; the sound played on")

    def _choice(self) -> None:
        state = self._session.state
        if state.chosen:
            *chain, level = sentences(state.playing)
            if chain != self._told and chain == self._seen:  # told when it rests, and not for the level alone
                doubt = () if state.in_range else (OUT_OF_REACH,)
                self._say("\n           ".join((f"Chain      {chain[0]}", *chain[1:], level, *doubt)))
                self._told = chain
            self._seen = chain
        if self._freeze and state.prediction is not None:
            self._session.apply({FREEZE: 1.0})
            self._freeze = False

    def _troubles(self) -> None:
        m = self._engine.meters()
        drops, muted = drop_outs(m), m["muted_blocks"]
        if drops >= self._drops + 3 and monotonic() - self._began > QUIET_S:
            of = f"{m['input_overflows']} in, {m['output_underflows']} out, {m['late']} late"
            load = f"load {100 * m['load_max']:.0f} % at most"
            self._say(f"{drops} drop-outs so far ({of}; {load}): {advice(self._engine.status)}")
            self._drops = drops
        if muted > self._muted:
            self._say(f"{muted} blocks muted so far: an effect gave no sound that is one, and was started afresh")
            self._muted = muted

    def _status(self) -> None:
        m = self._engine.meters()
        self._say.status(
            f"in {m['in_lufs']:6.1f} LUFS  out {m['out_lufs']:6.1f} LUFS  reduction "
            f"{min(m['gain_reduction_db']):5.1f} dB  load {100 * m['load']:3.0f} %  drop-outs {drop_outs(m)}"
            + (f"  muted blocks {m['muted_blocks']}" if m["muted_blocks"] else "")
        )
