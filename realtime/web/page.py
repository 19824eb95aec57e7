"""The page as the rest of afx-live sees it: it starts the server's process, keeps it alive, and answers it."""

import errno
import logging
import os
import queue
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ..audio.devices import child_env
from ..threads import RestartableThread
from . import HOST, PORT, link

EVERYWHERE = ("0.0.0.0", "::")
PUSH_S = 1 / 30
"""Pages are told of changes so often, at most."""
START_S, END_S, RETRY_S = 20.0, 1.0, 0.5
QUEUE = 512
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
        self._process: subprocess.Popen[bytes] | None = None
        self._out: queue.Queue[bytes] = queue.Queue(QUEUE)
        self._told: dict[str, Any] = {}
        self._again = threading.Event()
        self._serving, self._closing = threading.Event(), threading.Event()
        self._failed: PortError | None = None
        self._workers = ThreadPoolExecutor(WORKERS, "the page's questions")
        self._threads = [
            RestartableThread("the page's server", self._watch),
            RestartableThread("the page's state", self._push),
        ]

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

    def revive(self) -> bool:
        """Start threads again that have ended and should not have; tells whether there were any."""
        return any([thread.revive() for thread in self._threads])

    def __enter__(self) -> "Page":
        self.folder = Path(tempfile.mkdtemp(prefix="afx-live-page-"))
        for thread in self._threads:
            thread.start()
        self._serving.wait(START_S)
        if self._failed or not self._serving.is_set():
            self.close()
            raise self._failed or PortError(f"the page's server gave no answer in {START_S:g} s")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server; pages say that afx-live has ended."""
        self._closing.set()
        for thread in self._threads:
            thread.finish()
        self._stop()
        for thread in self._threads:
            thread.join(2 * END_S)
        self._workers.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the server's process -------------------------------------------------------------------------

    def _watch(self) -> None:
        """Run the server, and start another when it ends."""
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._run()
            except Exception:
                log.exception("the page's server cannot be looked after")
            if self._closing.is_set() or self._failed:
                return
            log.warning("the page's server ended (%s), and is started again", self._why())
            self._closing.wait(RETRY_S if time.monotonic() - began > 5.0 else 4 * RETRY_S)

    def _run(self) -> None:
        with open(self.folder / "server.log", "wb") as errors:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "afx_live.realtime.web.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_env(None),
                start_new_session=True,  # Ctrl-C is for us
            )
        assert process.stdin
        assert process.stdout
        config = {"host": self._host, "port": self._port, "token": self._token, "folder": str(self.folder)}
        self._out = queue.Queue(QUEUE)
        self._out.put(link.pack({**config, "once": self._once, "names": list(self._names)}))
        writer = threading.Thread(target=self._write, args=(process, self._out), daemon=True)
        writer.start()
        self._told = {}
        self._again.set()
        with suppress(link.BrokenLink, OSError, ValueError):
            while (message := link.read(process.stdout)) is not None:
                self._take(*message)
        process.kill()
        process.wait()
        self._out.put(b"")

    def _write(self, process: "subprocess.Popen[bytes]", out: "queue.Queue[bytes]") -> None:
        assert process.stdin
        with suppress(OSError, ValueError):
            while data := out.get():
                process.stdin.write(data)
                process.stdin.flush()
        with suppress(OSError, ValueError):
            process.stdin.close()

    def _why(self) -> str:
        assert self._process
        with suppress(OSError):
            if lines := (self.folder / "server.log").read_text(errors="replace").strip().splitlines():
                return f"code {self._process.returncode}: {lines[-1]}"
        return f"code {self._process.returncode}"

    def _stop(self) -> None:
        if self._process is None:
            return
        with suppress(queue.Full):
            self._out.put_nowait(b"")
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # --- messages -------------------------------------------------------------------------------------

    def tell(self, message: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a message to the server. One that takes nothing any more is killed, and the next one begins."""
        try:
            self._out.put_nowait(link.pack(message, data))
        except queue.Full:
            if self._process is not None:
                self._process.kill()

    def _take(self, message: dict[str, Any], data: bytes) -> None:
        if "serving" in message:
            self._port = message["serving"][1]
            self._serving.set()
        elif "failed" in message:
            busy = message["errno"] == errno.EADDRINUSE
            advice = "another afx-live may run: choose another with --web PORT" if busy else "choose another"
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
            self.tell({"to": page, "message": answer})

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
        self.tell({**answer, "number": message["number"]}, data)

    def _push(self) -> None:
        """Tell the server what has changed, until the end."""
        while not self._closing.is_set():
            try:
                told, desk, anew = self._told, self._desk, self._again.is_set()
                if desk is None:
                    self._closing.wait(PUSH_S)
                    continue
                self._again.clear()
                sections = {**desk.spec(), **desk.wait(0.0 if anew or not told else 0.25)}
                if desk is not self._desk:
                    continue
                if news := {name: value for name, value in sections.items() if told.get(name, self) != value}:
                    self.tell(news)
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
