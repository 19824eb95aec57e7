"""Files that the page sends: taken in bounded pieces, decoded by a process that may die, kept under names of ours."""

import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..audio.devices import child_env
from . import decoder

MAX_BYTES = 1 << 29
MAX_NAME = 80
DECODE_S = 2.0 * decoder.MAX_SECONDS
ROOM = 1 << 28
"""Bytes that are left free on the disk."""
AT_ONCE = 2
STALLED_S = 30.0
"""A sender that is silent for so long has gone."""


class Refused(ValueError):
    """A file that is not taken; the words are for people, `status` for their browser."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Uploads:
    """Take files into `folder`, which is deleted by whoever made it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._decoding = asyncio.Semaphore(AT_ONCE)

    async def take(self, chunks: AsyncIterator[bytes], claimed: str, name: str) -> dict[str, Any]:
        """Take a file: returns `id`, under which it lies as `id`.wav, `name` to show, and what the decoder found.

        `claimed` is the length that the sender claims, and `name` what it calls it: only letters to be
        shown, never a path. Raises Refused.
        """
        if claimed and (not claimed.isascii() or not claimed.isdigit() or int(claimed) > MAX_BYTES):
            raise Refused(413, f"files of up to {MAX_BYTES >> 20} MB can be taken")
        mine = secrets.token_hex(8)
        raw, clean = self._folder / f"{mine}.upload", self._folder / f"{mine}.wav"
        try:
            await self._store(chunks, raw)
            async with self._decoding:
                found = await self._decode(raw, clean)
        except BaseException:
            clean.unlink(missing_ok=True)
            raise
        finally:
            raw.unlink(missing_ok=True)
        return {"id": mine, "name": shown(name), **found}

    async def _store(self, chunks: AsyncIterator[bytes], path: Path) -> None:
        size = 0
        with open(path, "xb", buffering=0) as file:
            while (chunk := await self._next(chunks)) is not None:
                size += len(chunk)
                if size > MAX_BYTES:
                    raise Refused(413, f"files of up to {MAX_BYTES >> 20} MB can be taken")
                if shutil.disk_usage(self._folder).free < ROOM + len(chunk):
                    raise Refused(507, "the disk is full: free some room")
                file.write(chunk)
        if not size:
            raise Refused(422, "the file is empty")

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await asyncio.wait_for(anext(chunks, None), STALLED_S)
        except asyncio.TimeoutError:
            raise Refused(408, "nothing has come for too long") from None

    async def _decode(self, raw: Path, clean: Path) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", decoder.__name__, str(raw), str(clean)],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=child_env(None),
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), DECODE_S)
            found = json.loads(said)
        except (ValueError, asyncio.TimeoutError):
            raise Refused(422, "it cannot be read as audio: its decoder gave up; is it damaged?") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        if "error" in found:
            raise Refused(422, found["error"])
        return found


def shown(name: str) -> str:
    """Make a name fit to be shown: no control characters, and not too long."""
    return "".join(c for c in name if c.isprintable())[:MAX_NAME].strip() or "recording"
