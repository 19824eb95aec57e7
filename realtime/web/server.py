"""The process that serves the page: `python -m afx_live.realtime.web.server`, and nothing else in it.

It knows nothing of sound: afx-live tells it the state, section by section, and it tells the pages; what a
page asks for goes to afx-live, which decides. Meters it reads from the memory that the audio thread
writes to. The first message on standard input is its `Config`; it ends with standard input.
"""

import asyncio
import json
import os
import queue
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from . import link
from .connections import MAX_CONNECTIONS, close_strangers
from .meters import FRAME_S, MeterReader
from .pages import MAX_MESSAGE, Pages
from .security import SameOrigin, bearer, same_token
from .uploads import Refused, Uploads

STATIC = Path(__file__).parent / "static"
ANSWER_S = 30.0
"""afx-live answers an HTTP request within this time."""
QUEUE = 256


@dataclass(frozen=True)
class Config:
    """Where to serve, and who may come. `once` is a token for one page, for the browser that afx-live opens."""

    host: str
    port: int
    token: str
    folder: str
    once: str = ""
    names: tuple[str, ...] = ()


class Control:
    """afx-live, as the server talks to it: messages out, and answers to those that want one."""

    def __init__(self, out: Any) -> None:
        self._lines: queue.Queue[bytes] = queue.Queue(QUEUE)
        self._out, self._number = out, 0
        self._waiting: dict[int, asyncio.Future[link.Message]] = {}
        threading.Thread(target=self._write, daemon=True).start()

    def _write(self) -> None:
        with suppress(OSError, ValueError):
            while True:
                self._out.write(self._lines.get())
                self._out.flush()

    def tell(self, message: Mapping[str, Any]) -> bool:
        """Send a message; False if afx-live does not keep up."""
        try:
            self._lines.put_nowait(link.pack(message))
        except queue.Full:
            return False
        return True

    async def ask(self, message: Mapping[str, Any]) -> link.Message:
        """Send a message and wait for the answer. Raises Refused if none comes."""
        self._number += 1
        number, future = self._number, asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            if not self.tell({**message, "number": number}):
                raise Refused(503, "afx-live is busy; try again")
            return await asyncio.wait_for(future, ANSWER_S)
        except asyncio.TimeoutError:
            raise Refused(504, "afx-live gave no answer") from None
        finally:
            del self._waiting[number]

    def answered(self, message: dict[str, Any], data: bytes) -> None:
        """Take an answer."""
        future = self._waiting.get(message.pop("number"))
        if future is not None and not future.done():
            future.set_result((message, data))


class Server:
    """The application: routes, pages and what they know."""

    def __init__(self, config: Config, control: Control) -> None:
        self._config, self._control = config, control
        self._uploads = Uploads(Path(config.folder))
        self.pages = Pages(control, config.token, config.once)
        self._meters = MeterReader()

    def take(self, message: dict[str, Any], data: bytes) -> None:
        """Take a message from afx-live, on the loop's thread."""
        if "number" in message:
            self._control.answered(message, data)
        elif "to" in message:
            self.pages.reply(message["to"], message["message"])
        else:
            if "memory" in message:
                self._meters.open(message.pop("memory"))
                self.pages.tell({"meters": self._meters.fields})
            self.pages.tell(message)

    def app(self) -> ASGIApp:
        """Build the application."""

        @asynccontextmanager
        async def life(_: Starlette) -> AsyncIterator[None]:
            task = asyncio.create_task(self._measure())
            yield
            task.cancel()

        routes = [
            WebSocketRoute("/socket", self._socket),
            Route("/upload", self._upload, methods=["PUT"]),
            Route("/ask", self._ask, methods=["POST"]),
            Mount("/", StaticFiles(directory=STATIC, html=True)),
        ]
        return SameOrigin(Starlette(routes=routes, lifespan=life), self._config.names)

    async def _measure(self) -> None:
        """Send a frame of meters to the pages, thirty times a second."""
        now = asyncio.get_running_loop().time
        due = now()
        while True:
            due = max(due + FRAME_S, now())  # what was missed is not made up for
            await asyncio.sleep(due - now())
            if self.pages.there and (frame := self._meters.frame()):
                self.pages.measured(frame)

    async def _socket(self, socket: WebSocket) -> None:
        await self.pages.serve(socket)

    async def _upload(self, request: Request) -> Response:
        """Take a file: its bytes are the body, its name is in the query, and only shown."""
        if not same_token(bearer(request.headers), self._config.token):
            return _refused(401, "the link's token is missing: open the link that afx-live has printed")
        claimed, name = request.headers.get("content-length", ""), request.query_params.get("name", "")
        try:
            found = await self._uploads.take(request.stream(), claimed, name)
            answer, _ = await self._control.ask({"uploaded": found})
        except ClientDisconnect:
            return _refused(400, "the sender has gone")
        except Refused as error:
            return _refused(error.status, str(error))
        return JSONResponse(answer, 422 if "error" in answer else 200)

    async def _ask(self, request: Request) -> Response:
        """Ask afx-live for something that is answered with bytes: a stretch of sound, a file."""
        if not same_token(bearer(request.headers), self._config.token):
            return _refused(401, "the link's token is missing: open the link that afx-live has printed")
        if request.headers.get("content-type", "") != "application/json":
            return _refused(415, "application/json is needed")
        try:
            body = await _body(request)
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise ValueError
            answer, data = await self._control.ask({"ask": asked})
        except Refused as error:
            return _refused(error.status, str(error))
        except (ValueError, RecursionError):
            return _refused(400, "a JSON object is needed, of finite numbers")
        if "error" in answer:
            return JSONResponse(answer, 422)
        if "file" in answer:
            return _file(answer)
        if not data:
            return JSONResponse(answer)
        return Response(data, headers={"x-about": json.dumps(answer)}, media_type="application/octet-stream")


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_MESSAGE:
            raise Refused(413, "too long")
    return body


def _file(answer: Mapping[str, Any]) -> Response:
    """Give a file that afx-live has made, and names: to be saved, never shown. `once`: it is deleted then."""
    gone = BackgroundTask(os.unlink, answer["file"]) if answer.get("once") else None
    kind = "application/octet-stream"
    return FileResponse(answer["file"], media_type=kind, filename=answer["name"], background=gone)


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


def bind(host: str, port: int) -> socket.socket:
    """Open the port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let two servers share the port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(64)
    except BaseException:
        listening.close()
        raise
    return listening


async def serve(config: Config, source: Any, sink: Any) -> None:
    """Serve until `source` ends."""
    control = Control(sink)
    listening = bind(config.host, config.port)
    server = Server(config, control)
    options = uvicorn.Config(
        server.app(),
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # what a proxy claims of the sender is nothing to us
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_max_queue=8,
        ws_per_message_deflate=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16384,
    )
    running = uvicorn.Server(options)
    loop = asyncio.get_running_loop()

    def listen() -> None:
        with suppress(link.BrokenLink, OSError, RuntimeError):
            while (message := link.read(source)) is not None:
                loop.call_soon_threadsafe(server.take, *message)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(setattr, running, "should_exit", True)

    threading.Thread(target=listen, daemon=True).start()
    control.tell({"serving": list(listening.getsockname()[:2])})
    sweeping = asyncio.create_task(close_strangers(running.server_state.connections, config.token))
    await running.serve(sockets=[listening])
    sweeping.cancel()


def main() -> None:
    """Serve what the first message says; error as a message if the port cannot be opened."""
    os.umask(0o077)
    out, source = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)  # what libraries print is no message
    first = link.read(source)
    if first is None:
        return
    config = Config(**{**first[0], "names": tuple(first[0].get("names", ()))})
    try:
        asyncio.run(serve(config, source, out))
    except OSError as error:
        out.write(link.pack({"failed": error.strerror or str(error), "errno": error.errno or 0}))
        out.flush()
    os._exit(0)  # whatever still waits for a page has nothing to lose


if __name__ == "__main__":
    main()
