"""How soon a turn of each control of the page is heard, on files: python bench/page_turns.py > bench/PAGE_TURNS.md

Chromium plays a recording; a control is moved as a hand would, and the time is taken until the page begins to play the
sound with it. Needs Debian's chromium and the extra [dev]. A minute and a half.
"""

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from common import machine  # pyright: ignore[reportImplicitRelativeImport]

from afx_live.chain import ChainSettings
from afx_live.effects import load
from afx_live.matching.model import MatchModel
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.audio.file_engine import FileEngine
from afx_live.realtime.session.file_session import FileSession
from afx_live.realtime.session.state import SessionState
from afx_live.realtime.web.file_desk import FileDesk
from afx_live.realtime.web.page import Page
from support.browser import STARTS, View, chromium  # pyright: ignore[reportMissingImports]

TURNS, BOLD_TURNS = 2, 8
REST_MS = 800
"""Between two turns: the level is solved again meanwhile, when a hand has rested for 250 ms."""
TURN = """
async (message) => {
  const { set, say } = await import("./link.js");
  const from = performance.now();
  if (message.send) set(message.send);
  else say(message.say);
  for (;;) {
    const found = window.starts.find((at) => at > from);
    if (found) return found - from;
    if (performance.now() - from > 5000) return null;
    await new Promise((done) => setTimeout(done, 2));
  }
}
"""
TEXT = """\
# How soon a turn is heard on the page

    python bench/page_turns.py > bench/PAGE_TURNS.md

The page on files plays the bundled guitar, matched, with all four effects on. Each control is moved {turns} times, and
boldness, for which the match is decided anew, {bold} times. What is measured is the time until Chromium begins to play
the sound with it: through the socket, the session, the chain (which plays from half a second, or its reverb's length,
before what is heard), and back. The sound card's own delay is not in it. In ms.

{machine}
Chromium {chromium}, no window. Load average {before:.1f} before the run.

| what is moved | controls | median | 95 % | longest |
|---|---|---|---|---|
"""


def turned(control: str, now: Any) -> Any:
    """Give another value for a control: a quarter of its range away."""
    if isinstance(now, bool):
        return not now
    effect, _, name = control.rpartition("/")
    if name in ("amount", "boldness"):
        return now - 0.25 if now > 0.5 else now + 0.25
    param = load("gain" if name == "gain_db" else effect).param(name)
    return param.value((param.unit(now) + 0.25) % 1.0)


def plan(session: FileSession) -> list[tuple[str, list[dict[str, Any]]]]:
    """Say what to move: (what it is in the table, two messages: there and back)."""
    plain = session.plain()
    values, chain = plain["values"], plain["chain"]
    found = []
    for control, now in values.items():
        effect, _, name = control.rpartition("/")
        if control == "amount" or effect in ("input", "output") or (effect in chain and name == "amount"):
            kind = "amounts, gains"
        elif effect in chain and name not in ("lock", "only", "without"):
            kind = effect
        else:
            continue
        found.append((kind, [{"send": {control: turned(control, now)}}, {"send": {control: now}}]))
    return [*found, ("a preset", [{"say": {"send": {"preset": name}}} for name in ("telephone", "warm")])]


def matched(desk: FileDesk, seconds: float = 60.0) -> None:
    """Have the guitar matched. Raises TimeoutError."""
    desk.handle({"recording": "guitar", "references": ["guitar_reference"]})
    end = time.monotonic() + seconds
    while not desk.session.plain()["explanation"]:
        if time.monotonic() > end:
            raise TimeoutError("the guitar was not matched")
        time.sleep(0.1)


def measure() -> tuple[dict[str, list[float]], dict[str, int], str]:
    """Give the times in ms by kind, how many controls each kind has, and Chromium's version."""
    engine, model = FileEngine(), MatchModel(SHIPPED_MODEL)
    session = FileSession(engine, model, SessionState(ChainSettings.default(model.chain.order)))
    session.start()
    times: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    with Page(port=0) as page, chromium() as browser:
        desk = FileDesk(session, engine, page.folder)
        page.show(desk)
        matched(desk)
        view = View(browser, page.link)
        view.until("state.recording && state.pictures?.reverb")
        view.page.evaluate(STARTS)
        view.page.get_by_role("button", name="Play", exact=True).click()
        view.page.wait_for_timeout(2000)

        def take(kind: str, messages: list[dict[str, Any]], turns: int = TURNS) -> None:
            counts[kind] += 1
            for turn in range(turns):
                took = view.page.evaluate(TURN, messages[turn % len(messages)])
                if took is None:
                    print(f"{kind}: {messages[turn % len(messages)]} was not heard", file=sys.stderr)
                else:
                    times[kind].append(took)
                view.page.wait_for_timeout(REST_MS)

        take("boldness", [{"send": {"boldness": value}} for value in (0.9, 0.2)], BOLD_TURNS)
        used = {f"{effect}/bypass": False for effect in session.plain()["chain"]}
        session.send({**used, "equaliser/peak_3_db": 4.0, "reverb/mix": 0.2, "compressor/threshold_db": -35.0})
        view.page.wait_for_timeout(2000)
        for kind, messages in plan(session):
            take(kind, messages)
        session.send({"amount": 0.5})
        view.page.wait_for_timeout(2000)
        take("undo, redo", [{"say": {"send": {"undo": True}}}, {"say": {"send": {"redo": True}}}])
        desk.close()
        version = browser.version
    session.close()
    return times, counts, version


def main() -> None:
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        os.environ["AFX_LIVE_HOME"] = home
        times, counts, version = measure()
    rows = [(kind, counts[kind], times[kind]) for kind in times]
    rows.append(("**all**", sum(counts.values()), [ms for found in times.values() for ms in found]))
    said = machine("numpy", "uvicorn", "starlette")
    print(TEXT.format(turns=TURNS, bold=BOLD_TURNS, machine=said, chromium=version, before=before), end="")
    for kind, count, found in rows:
        middle, most = np.percentile(found, [50, 95])
        print(f"| {kind} | {count} | {middle:.0f} | {most:.0f} | {max(found):.0f} |")
    print(json.dumps({"over 200 ms": sum(ms > 200 for _, _, found in rows[:-1] for ms in found)}), file=sys.stderr)


if __name__ == "__main__":
    main()
