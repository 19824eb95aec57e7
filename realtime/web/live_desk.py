"""The desk of a live session: what its status says, and where its meters lie."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..audio.live_engine import LiveEngine
from ..audio.shared_folder import SHARED
from ..audio.shared_memory import RING_OFFSET
from ..session.session import Session
from ..session.spectra import HZ
from .desk import SessionDesk

MESSAGES = 20


class LiveDesk(SessionDesk):
    """A live session as pages see it.

    `folder` is where uploads lie; `status` gives what a status file holds (docs/status_file.md); `leave`, if there
    is one, goes over to files.
    """

    def __init__(
        self,
        session: Session[LiveEngine],
        folder: Path,
        status: Callable[[], Mapping[str, Any]],
        leave: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(session, folder)
        self._engine, self._status, self._leave = session.engine, status, leave
        self._handlers["files"] = self._go

    def slowly(self) -> dict[str, Any]:
        """Give what changes by itself."""
        status = self._status()
        stream = {**status["stream"], "latency_ms": status["latency_ms"], "advice": status["advice"]}
        curves = status["curves"]
        return {
            **super().slowly(),
            "mode": "live",
            "switchable": self._leave is not None,
            "stream": stream,
            "spectra": {"input_db": curves["input_db"], "reference_db": curves["reference_db"]},
            "messages": status["messages"][-MESSAGES:],
            "memory": self._memory(status["meters"]["fields"]),
        }

    def _memory(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """Say where the server finds the meters, and the last seconds of input."""
        file = self._engine.folder / SHARED
        if not file.exists():
            return None
        frames = (file.stat().st_size - RING_OFFSET) // 8
        rate, hz = self._engine.sample_rate, [float(f) for f in HZ]
        return {"file": str(file), "fields": dict(fields), "ring": [RING_OFFSET, frames], "rate": rate, "hz": hz}

    def _go(self, _: Any) -> None:
        if self._leave is None:
            raise ValueError("this afx-live plays live; for files run afx-live studio")
        self._leave()
