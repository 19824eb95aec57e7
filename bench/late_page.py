"""Whether open pages make audio late: python bench/late_page.py --minutes 10 > bench/LATE_PAGE.md

The stream of late.py, with the page's server beside it as `afx-live --web` has it. In turns ten pages are open, each of
which takes thirty frames of meters a second and moves a knob ten times a second, and none is.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from late import interval, machine, rate  # pyright: ignore[reportImplicitRelativeImport]

from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from afx_live.realtime.view.status_file import Publisher
from afx_live.realtime.web.live_desk import LiveDesk
from afx_live.realtime.web.page import Page
from support.jack import Jack  # pyright: ignore[reportMissingImports]
from support.page import Client  # pyright: ignore[reportMissingImports]
from support.under_load import CHAIN, Desk, taking_turns  # pyright: ignore[reportMissingImports]

PAGES, TURN_S, WINDOW_S = 10, 10.0, 2.0
MOVES_S = 0.1
BLOCKS = (128, 256)
TEXT = """\
# Late callbacks with ten pages open

    python bench/late_page.py --minutes {minutes:g} > bench/LATE_PAGE.md

A callback is late if it takes longer than its block lasts, or is called after twice its block's time. {pages} pages,
clients on the same machine, take {frames:.0f} frames a second each and move a knob {moves:.0f} times a second; turns of
{turn:g} s with them and without, {minutes:g} min at each block size. The engine plays every effect on noise; the empty
callback takes turns with it in the same stream, and shows what the machine does by itself. Rates with 95 % intervals
(bootstrap over windows of {window:g} s).

{machine}
Load average {before:.1f} before the run and {after:.1f} at its end.

| frames | callback | no page | ten pages | difference |
|---|---|---|---|---|
"""


class Engine(Desk):
    """What a session, a status file and the page need of an engine, about the stream that is measured."""

    running = True

    def __init__(self, turns: Any) -> None:
        super().__init__(turns.shared)
        self.folder, self.status = Path(turns.shared.path).parent, {**turns.status, "running": True}


@contextmanager
def served(turns: Any):
    """Serve the page about a stream."""
    engine: Any = Engine(turns)
    session = Session(engine, None, SessionState(CHAIN))
    with ExitStack() as stack:
        session.start()
        stack.callback(session.close)
        status = stack.enter_context(Publisher(engine, session))
        page = stack.enter_context(Page(port=0))
        desk = LiveDesk(session, page.folder, lambda: status.latest)
        stack.callback(desk.close)
        page.show(desk)
        yield page


def read(link: str) -> None:
    """Be PAGES open pages, in a process of their own; prints frames a second and page at the end of stdin."""
    client = Client(argparse.Namespace(link=link))
    pages, frames, began = [client.open() for _ in range(PAGES)], [0] * PAGES, time.monotonic()

    def take(which: int) -> None:
        while True:
            kind, _ = pages[which].receive()
            frames[which] += kind == 2

    for which in range(PAGES):
        threading.Thread(target=take, args=(which,), daemon=True).start()

    def move() -> None:
        for count in range(1 << 30):
            for page in pages:
                page.send({"send": {"equaliser/peak_2_db": 6.0 * np.sin(count / 10)}})
            time.sleep(MOVES_S)

    threading.Thread(target=move, daemon=True).start()
    sys.stdin.read()
    print(sum(frames) / PAGES / (time.monotonic() - began), flush=True)
    os._exit(0)


def windows(turns: Any, seconds: float) -> list[np.ndarray]:
    """Count [late, calls] of both callbacks in each window."""
    found, before = [], turns.counts()
    for _ in range(round(seconds / WINDOW_S)):
        time.sleep(WINDOW_S)
        now = turns.counts()
        found.append(now - before)
        before = now
    return found


def measure(block: int, minutes: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Give windows without pages and with them, (windows, [engine, empty], [late, calls]), and frames a second."""
    jack, quiet, busy, rates = Jack(), [], [], []
    try:
        jack.start()
        jack.tool("jack_bufsize", str(block))
        with taking_turns(jack.env, block) as turns, served(turns) as page:
            for _ in range(max(1, round(60 * minutes / (2 * TURN_S)))):
                quiet += windows(turns, TURN_S)
                command = [sys.executable, __file__, "--read", page.link]
                with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as pages:
                    time.sleep(WINDOW_S)  # they start
                    busy += windows(turns, TURN_S)
                    rates.append(float(pages.communicate()[0]))
    finally:
        jack.stop()
    return np.array(quiet), np.array(busy), float(np.mean(rates))


def row(block: int, name: str, quiet: np.ndarray, busy: np.ndarray) -> str:
    """Write a row of the table: windows (windows, [late, calls])."""
    count = min(len(quiet), len(busy))
    both = np.hstack([busy[:count], quiet[:count]])
    low, high = interval(both)
    more = busy[:, 0].sum() / busy[:, 1].sum() - quiet[:, 0].sum() / quiet[:, 1].sum()
    difference = f"{1e5 * more:+.1f} in 100,000 [{1e5 * low:+.1f}, {1e5 * high:+.1f}]"
    return f"| {block} | {name} | {rate(quiet)} | {rate(busy)} | {difference} |"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=10.0, help="at each block size (%(default)g)")
    words.add_argument("--read", help=argparse.SUPPRESS)
    a = words.parse_args()
    if a.read:
        return read(a.read)
    os.environ.setdefault("AFX_JACK_REALTIME", "1")
    before, rows, frames = os.getloadavg()[0], [], []
    for block in BLOCKS:
        quiet, busy, rate_hz = measure(block, a.minutes)
        frames.append(rate_hz)
        for i, name in enumerate(("engine", "empty")):
            rows.append(row(block, name, quiet[:, i], busy[:, i]))
        print(json.dumps({"block": block, "frames": rate_hz}), file=sys.stderr)
    about = {"minutes": a.minutes, "pages": PAGES, "moves": 1 / MOVES_S, "turn": TURN_S, "window": WINDOW_S}
    loads = {"before": before, "after": os.getloadavg()[0]}
    print(TEXT.format(**about, **loads, machine=machine(), frames=np.mean(frames)) + "\n".join(rows))


if __name__ == "__main__":
    main()
