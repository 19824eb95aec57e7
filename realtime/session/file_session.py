"""A session on a recording: the same state, edits and undo, with matching that waits for news instead of time.

Nothing changes in a recording by itself. So it is analysed once, matched when a reference or the recording
is another, and its level is solved again when a hand has come to rest.
"""

import logging
import queue
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...matching.model import Features, MatchModel
from ..audio.file_engine import FileEngine, Recording
from .input_analyser import InputAnalyser
from .matcher import Matcher
from .session import Session
from .signal_gate import SignalGate
from .state import SessionState

log = logging.getLogger(__name__)

REST_S = 0.25
"""A hand that has not moved anything for so long rests."""
RECENT_S = 12.0


class RecordingAnalyser(InputAnalyser):
    """The features of a recording, found once."""

    def __init__(self, engine: FileEngine, model: MatchModel | None) -> None:
        super().__init__(engine, model)
        self._files = engine
        self._of: Recording | None = None

    @property
    def seconds(self) -> float | None:
        """A recording is heard whole."""
        return None

    def known(self) -> tuple[Features, np.ndarray] | None:
        """Give the whole recording's features, and a stretch of it."""
        x = self.recent()
        return None if x is None or self._model is None else (self.analyse(x), x)

    def recent(self) -> np.ndarray | None:
        """Give a typical stretch of the recording (frames, 2); None without one."""
        return self._files.recent_input(RECENT_S) if self._files.recording else None

    def analyse(self, x: np.ndarray) -> Features:
        """Analyse the whole recording; x is only a part of it."""
        recording = self._files.recording
        assert self._model is not None
        assert recording is not None
        if self.features is None or recording is not self._of:
            clip = recording.clip
            self.features = self._model.analyse(clip.excerpts, clip.sample_rate, "the recording")
            self._of = recording
        return self.features


class FileMatcher(Matcher):
    """Load what is requested, and solve the level again when what plays has changed and rests."""

    def _run(self) -> None:
        solved = moved = self._session.state
        since = time.monotonic()
        while not self._closing:
            try:
                job = self._jobs.get(timeout=REST_S / 2)
            except queue.Empty:
                now = self._session.state
                if now.settings != moved.settings:
                    moved, since = now, time.monotonic()
                elif now.settings != solved.settings and time.monotonic() - since >= REST_S:
                    self._guarded(partial(self._follower.follow_level, at_once=True))
                    solved = moved = self._session.state
                else:
                    self._explain()
                continue
            if job:
                self._guarded(job)

    def _explain(self) -> None:
        """Explain what a hand has left there; a fault in it must not end the thread."""
        try:
            self._follower.explain()
        except Exception:
            log.exception("what plays cannot be explained")


class FileSession(Session[FileEngine]):
    """A session whose input is a recording; see `Session`."""

    def __init__(
        self, engine: FileEngine, model: MatchModel | None, state: SessionState, clip_folders: Sequence[Path] = ()
    ) -> None:
        super().__init__(engine, model, state, clip_folders)
        self.follower.input = RecordingAnalyser(engine, model)
        self.follower.level.gate = SignalGate(live=False)
        self.matcher = FileMatcher(self, self.follower, model, clip_folders)

    def open(self, path: Path) -> Recording:
        """Work on another recording, and match it. Raises ClipError."""
        recording = Recording.open(path)
        self.engine.open(recording)
        self.edit(lambda state: replace(state, prediction=None, explanation=None), step="", send=False)
        self.matcher.later("the recording", self.follower.listen)
        return recording
