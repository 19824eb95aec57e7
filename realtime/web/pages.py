"""The open pages: each is told what has changed, at the pace at which it can take it."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from .security import same_token

MAX_PAGES = 32
MAX_MESSAGE = 16384
"""Bytes of a message from a page."""
TOKEN_S = 5.0
"""A page has so long to send its token."""
RATE, BURST = 200.0, 200.0
"""Messages a second and page, and how many at once; what is over is dropped."""
MAX_REPLIES = 64
CLOSE_TOKEN, CLOSE_FULL = 4401, 4429
"""Why a socket is closed: the token is wrong; there are too many pages."""


class Listener(Protocol):
    """Who hears what pages ask for."""

    def tell(self, message: Mapping[str, Any]) -> bool: ...


class _Page:
    """One open page, and what it has not been told yet."""

    def __init__(self, number: int, socket: WebSocket) -> None:
        self.number, self.socket = number, socket
        self.sections: set[str] = set()
        self.replies: deque[dict[str, Any]] = deque(maxlen=MAX_REPLIES)
        self.frame: bytes | None = None
        self.wake = asyncio.Event()
        self._level, self._when, self._warned = BURST, time.monotonic(), 0.0

    def allowed(self) -> bool:
        """Spend a token of its budget; False if there is none left."""
        now = time.monotonic()
        self._level = min(BURST, self._level + (now - self._when) * RATE)
        self._when = now
        self._level -= self._level >= 1.0
        return self._level >= 1.0

    def answer(self, message: dict[str, Any]) -> None:
        self.replies.append(message)
        self.wake.set()

    def complain(self, text: str) -> None:
        """Say what was wrong, once a second at most."""
        if time.monotonic() - self._warned >= 1.0:
            self._warned = time.monotonic()
            self.answer({"error": text})


class Pages:
    """All open pages. `token` opens any number of them, `once` a single one, which is told the token."""

    def __init__(self, control: Listener, token: str, once: str = "") -> None:
        self._control, self._token, self._once = control, token, once
        self._pages: dict[int, _Page] = {}
        self._state: dict[str, Any] = {}
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._number = self.dropped = 0

    @property
    def there(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    def tell(self, sections: Mapping[str, Any]) -> None:
        """Take sections of the state; pages are told the latest of each when they can take it."""
        self._state.update(sections)
        for page in self._pages.values():
            page.sections.update(sections)
            page.wake.set()

    def measured(self, frame: bytes) -> None:
        """Take a frame of meters; a page that is slow gets the latest only."""
        for page in self._pages.values():
            page.frame = frame
            page.wake.set()

    def reply(self, number: int, message: dict[str, Any]) -> None:
        """Answer one page, if it is still there."""
        if number in self._pages:
            self._pages[number].answer(message)

    async def serve(self, socket: WebSocket) -> None:
        """Look after a socket from its first message, the token, to its end."""
        await socket.accept()
        if not await self._opened(socket):
            return await socket.close(CLOSE_TOKEN)
        if len(self._pages) >= MAX_PAGES:
            return await socket.close(CLOSE_FULL)
        self._number += 1
        page = self._pages[self._number] = _Page(self._number, socket)
        page.answer({"welcome": self._token})
        page.sections.update(self._state)
        sender = asyncio.create_task(self._send(page))
        try:
            while True:
                await self._receive(page)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            sender.cancel()
            del self._pages[page.number]

    async def _opened(self, socket: WebSocket) -> bool:
        """Wait for the token, and tell whether it is right. Of too many that wait, the oldest is given up."""
        first = asyncio.ensure_future(socket.receive())
        self._waiting.append(first)
        if len(self._waiting) > MAX_PAGES:
            self._waiting.popleft().cancel()
        await asyncio.wait([first], timeout=TOKEN_S)
        with suppress(ValueError):
            self._waiting.remove(first)
        if first.cancelled() or not first.done():
            first.cancel()
            return False
        try:
            given = json.loads(first.result().get("text") or "")["token"]
        except (ValueError, RecursionError, KeyError, TypeError):
            return False
        if self._once and same_token(given, self._once):
            self._once = ""
            return True
        return same_token(given, self._token)

    async def _receive(self, page: _Page) -> None:
        """Take a message from a page: a JSON object, which goes on to afx-live."""
        got = await page.socket.receive()
        if got["type"] != "websocket.receive":
            raise WebSocketDisconnect
        if not page.allowed():
            self.dropped += 1
            return page.complain("too many changes at once: some were left out")
        try:
            message = json.loads(got["text"])
            if not isinstance(message, dict):
                raise ValueError
            heard = self._control.tell({"page": page.number, "message": message})
        except (ValueError, RecursionError, KeyError, TypeError):  # among them numbers that are none
            return page.complain("that was no message")
        if not heard:
            page.complain("afx-live is busy; try again")

    async def _send(self, page: _Page) -> None:
        while True:
            await page.wake.wait()
            page.wake.clear()
            while page.replies:
                await page.socket.send_text(_text(page.replies.popleft()))
            if page.sections:
                sections, page.sections = page.sections, set()
                await page.socket.send_text(_text({"state": {name: self._state[name] for name in sections}}))
            if page.frame is not None:
                frame, page.frame = page.frame, None
                await page.socket.send_bytes(frame)


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
