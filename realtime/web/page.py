"""The page as the rest of afx-live sees it: it starts the server's process, keeps it alive, and answers it."""

import errno
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ..threads import RestartableThread
from . import HOST, PORT
from .server_process import ServerProcess

EVERYWHERE = ("0.0.0.0", "::")
PUSH_S = 1 / 30
"""Pages are told of changes so often, at most."""
WAIT_S = 0.25
START_S = 20.0
WORKERS = 2
"""Questions that take time, such as a stretch of sound, and that are answered side by side."""

log = logging.getLogger(__name__)


class PortError(RuntimeError):
    """The page's port cannot be opened."""

    exit_code = 6


class Desk(Protocol):
    """What the page is about. Calls come from the page's threads; what they raise as ValueError is told the page."""

    def spec(self) -> Mapping[str, Any]:
        """Give what never changes: sections of the state, told once."""
        ...

    def wait(self, timeout_s: float) -> Mapping[str, Any]:
        """Wait for a change, then give all sections of the state as plain data."""
        ...

    def handle(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Do what a page asks for, and do not block for long; an answer is for this page alone."""
        ...

    def ask(self, message: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
        """Answer a question; it may take a while."""
        ...

    def uploaded(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take note of a file that lies in the page's folder as `id`.wav."""
        ...


class Page:
    """Serve the page while in its context; it shows nothing until it is given a desk with `show`.

    `names` are host names that mean this machine, beside its addresses. Entering raises PortError, and
    starts nothing else. `link` has the token in its fragment; `once` is a link for one page only, which
    may be seen by others: it is what a browser is started with. `folder` is where uploads lie.
    """

    def __init__(self, host: str = HOST, port: int = PORT, names: tuple[str, ...] = ()) -> None:
        self._host, self._port, self._names = host, port, names
        self._desk: Desk | None = None
        self._token, self._once = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.folder = Path()
        self._told: dict[str, Any] = {}
        self._serving, self._closing = threading.Event(), threading.Event()
        self._failed: PortError | None = None
        self._workers = ThreadPoolExecutor(WORKERS, "the page's questions")
        self._server = ServerProcess(self._config, self._take, lambda: self.folder / "server.log")
        self._pusher = RestartableThread("the page's state", self._push)

    @property
    def link(self) -> str:
        """The link that opens the page."""
        return self._link(self._token)

    @property
    def once(self) -> str:
        """A link that opens one page, once."""
        return self._link(self._once)

    def _link(self, token: str) -> str:
        host = own_address() if self._host in EVERYWHERE else self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/#token={token}"

    def show(self, desk: Desk | None) -> None:
        """Have pages be about another desk from now on; None for nothing yet."""
        self._desk = desk
        self._told = {}

    @property
    def pid(self) -> int | None:
        """The server's process."""
        return self._server.process and self._server.process.pid

    def revive(self) -> bool:
        """Start threads again that have ended and should not have; tells whether there were any."""
        return any([thread.revive() for thread in (self._server.thread, self._pusher)])

    def __enter__(self) -> "Page":
        self.folder = Path(tempfile.mkdtemp(prefix="afx-live-page-"))
        self._server.start()
        self._pusher.start()
        self._serving.wait(START_S)
        if self._failed or not self._serving.is_set():
            self.close()
            raise self._failed or PortError(f"the page's server gave no answer in {START_S:g} s")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server; pages say that afx-live does not answer."""
        self._closing.set()
        self._pusher.finish()
        self._server.stop()
        self._pusher.join(1.0)
        self._workers.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _config(self) -> Mapping[str, Any]:
        """Give the server's configuration; a new one knows nothing yet."""
        self._told = {}
        place = {"host": self._host, "port": self._port, "names": list(self._names), "folder": str(self.folder)}
        return {**place, "token": self._token, "once": self._once}

    # --- messages -------------------------------------------------------------------------------------

    def _take(self, message: dict[str, Any], data: bytes) -> None:
        if "serving" in message:
            self._port = message["serving"][1]
            self._serving.set()
        elif "failed" in message:
            busy = message["errno"] == errno.EADDRINUSE
            advice = (
                "another afx-live may run: choose another with --web PORT (studio: --port PORT)"
                if busy
                else "choose another"
            )
            self._server.give_up()
            self._failed = PortError(f"the page's port {self._host}:{self._port}: {message['failed']}; {advice}")
            self._serving.set()
        elif "page" in message:
            self._reply(message["page"], message["message"])
        else:
            self._workers.submit(self._answer, message)

    @property
    def _shown(self) -> Desk:
        if self._desk is None:
            raise ValueError("afx-live is not ready yet; try again in a moment")
        return self._desk

    def _reply(self, page: int, message: Mapping[str, Any]) -> None:
        try:
            answer = self._shown.handle(message)
        except ValueError as error:
            answer = {"error": str(error)}
        except Exception as error:
            log.exception("the page asked for what failed")
            answer = {"error": f"a bug: {error!r}"}
        if answer:
            self._server.tell({"to": page, "message": answer})

    def _answer(self, message: dict[str, Any]) -> None:
        data = b""
        if self._closing.is_set():
            return
        try:
            if "uploaded" in message:
                answer = self._shown.uploaded(message["uploaded"])
            else:
                answer, data = self._shown.ask(message["ask"])
        except (ValueError, OSError) as error:
            answer = {"error": str(error)}
        except Exception as error:
            log.exception("the page asked for what failed")
            answer = {"error": f"a bug: {error!r}"}
        self._server.tell({**answer, "number": message["number"]}, data)

    def _push(self) -> None:
        """Tell the server what has changed, until the end."""
        while not self._closing.is_set():
            try:
                told, desk = self._told, self._desk
                if desk is None:
                    self._closing.wait(PUSH_S)
                    continue
                sections = {**desk.spec(), **desk.wait(WAIT_S if told else 0.0)}
                if desk is not self._desk or told is not self._told:
                    continue
                if news := {name: value for name, value in sections.items() if told.get(name, self) != value}:
                    self._server.tell(news)
                    told.update(news)
            except Exception:
                log.exception("the page is not told what changes")
                self._closing.wait(1.0)
            self._closing.wait(PUSH_S)


def own_address() -> str:
    """Give the address under which the network knows this machine; loop-back if none does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # nothing is sent: the system chooses the way, and with it the address
        return probe.getsockname()[0]
    return "127.0.0.1"


def open_browser(link: str) -> bool:
    """Open a browser if there is a desktop to show it on; tells whether there is."""
    desktop = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not desktop:
        return False
    words = [sys.executable, "-m", "webbrowser", "-t", link]
    with suppress(OSError):
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return True
    return False
