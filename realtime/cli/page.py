"""The page of `afx-live --web` and `afx-live studio`: opening it, and going between live and files at its wish."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec

from ..audio.devices import DeviceError
from ..view.console import Console
from ..web import HOST, PORT
from ..web.page import EVERYWHERE, Page, open_browser
from .errors import UsageError
from .file_work import Files, work_on_files
from .playing import Live, Outcome, play_live

NEEDED = ("starlette", "uvicorn", "websockets")


@dataclass(frozen=True)
class PageOptions:
    """Where to serve the page, and whether to open a browser."""

    port: int = PORT
    host: str = HOST
    browser: bool = True


@contextmanager
def open_page(options: PageOptions | None, console: Console) -> Iterator[Page | None]:
    """Serve the page and say where; nothing without options. Raises UsageError, PortError."""
    if options is None:
        yield None
        return
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the page needs {', '.join(missing)}: pip install 'afx-live[web]'")
    with Page(options.host, options.port, _names(options.host)) as page:
        opened = options.browser and open_browser(page.once)
        console(f"Page       {page.link}" + ("   (opened in your browser)" if opened else ""))
        if options.host not in (HOST, "localhost", "::1"):
            console("           anybody who has this link can control afx-live from the network")
        yield page


def _names(host: str) -> tuple[str, ...]:
    """Give the host names that mean this server: the one that was asked for, unless it is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return (host,)
    return () if host in EVERYWHERE else (host,)


def play(live: Live, files: Files, console: Console, page: Page | None, at_first: str = "live") -> Outcome:
    """Play live, or work on files, and go over to the other at the page's wish, until the end.

    Where there is a page, a device that does not open is no end: the page works on files then.
    """
    next, notice = at_first, ""
    while True:
        if next == "files":
            assert page is not None
            outcome = work_on_files(replace(files, notice=notice), console, page)
        else:
            try:
                outcome = play_live(live, console, page, may_leave=files.may_leave)
            except DeviceError as error:
                if page is None:
                    raise
                console(f"{error}")
                next, notice = "files", str(error)
                continue
        next, notice = outcome.next, ""
        if not next:
            return outcome
        state = replace(outcome.state, prediction=None, explanation=None, muted=False)
        options = replace(live.options, **outcome.options)
        live = replace(live, state=state, options=options)
        files = replace(files, state=state, recording=outcome.recording or files.recording)
