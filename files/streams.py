"""Standard output and error that take every text, in any encoding, closed, or with nobody reading; paths as text."""

import codecs
import io
import os
import sys
from typing import Any

PLAIN = {
    "→": "->", "←": "<-", "↔": "<->", "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "…": "...", "≤": "<=",
    "≥": ">=", "µ": "u", "°": " deg", "“": '"', "”": '"', "‘": "'", "’": "'", "±": "+-", "∞": "inf", "└": "`-",
    "├": "|-", "─": "-", "│": "|",
}  # fmt: skip
"""What is written for a character that an encoding has not."""
HANDLER = "afx-live-plain"


def shown(path: str | os.PathLike[str]) -> str:
    """Write a path for people: bytes that are no text are replaced, so that every terminal can print it."""
    return os.fsencode(path).decode("utf-8", "replace")


def make_safe() -> None:
    """Let no print of this process fail: for a program, not for a library, as it replaces `sys.stdout`, `sys.stderr`.

    C libraries write to file descriptor 2 themselves (mpg123, ALSA, JACK). Standard error gets another one, so that
    `files.quiet` can turn theirs away.
    """
    codecs.register_error(HANDLER, _plain)
    for descriptor in (0, 1, 2):  # else the next file that is opened becomes standard output
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _Safe.of(sys.stdout, 1)
    sys.stderr = _Safe.of(sys.stderr, os.dup(2))


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(PLAIN.get(c, "?") for c in lost), error.end


class _Safe(io.TextIOWrapper):
    """A stream on which writing never raises for an encoding or for a reader that has gone."""

    @classmethod
    def of(cls, stream: Any, descriptor: int) -> "_Safe":
        """Take the place of a stream, None if it was closed, and write to a file descriptor."""
        encoding = getattr(stream, "encoding", None) or "utf-8"
        if stream is not None:
            stream.flush()
        raw = open(descriptor, "wb", closefd=False)
        return cls(raw, encoding=encoding, errors=HANDLER, line_buffering=True)

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._give_up()

    def _give_up(self) -> None:
        """Nobody reads any more (`| head`): the work goes on, and the rest goes nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
