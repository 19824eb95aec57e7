"""Debian's Chromium, as people would use it: with a mouse, a keyboard, a finger, and a checker of accessibility."""

import base64
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.jack import need

DESK, PHONE = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--force-color-profile=srgb"]
SHOTS = os.environ.get("AFX_SCREENSHOTS")
"""A folder in which the documentation's pictures are made anew."""

DROP = """
async ([selector, files]) => {
  const transfer = new DataTransfer();
  for (const { name, data } of files) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: "audio/wav" }));
  }
  const target = document.querySelector(selector);
  for (const kind of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}
"""

STARTS = """
() => {
  window.starts = [];
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (...given) {
    // What goes on is begun ahead of its time; another sound, at once.
    if (given[0] - this.context.currentTime < 0.02) window.starts.push(performance.now());
    return start.apply(this, given);
  };
}
"""
"""Notes in `window.starts` when the page begins to play another sound."""


@contextmanager
def chromium():
    """Start Chromium; skips the test where it, or what drives it, is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (extra [dev])")
    path = need("chromium", "chromium")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class View:
    """A page in a browser of its own, and what it has complained about."""

    def __init__(self, browser, link, size=DESK, **options):
        self.link = link
        self.context = browser.new_context(viewport=size, **{"color_scheme": "dark", **options})
        self.page = self.context.new_page()
        self.complaints, self.asked = [], []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.set_default_timeout(30000)
        self.page.goto(link)
        self.page.wait_for_selector("body:not(.down)[data-mode]:not([data-mode=''])")

    def close(self):
        self.context.close()

    def drop(self, selector, *paths):
        """Let files go over an element."""
        files = [{"name": p.name, "data": base64.b64encode(p.read_bytes()).decode()} for p in map(Path, paths)]
        self.page.evaluate(DROP, [selector, files])

    def state(self, expression):
        """Evaluate an expression of the page's `state`."""
        return self.page.evaluate(f"import('./link.js').then(({{ state }}) => {expression})")

    def until(self, expression, seconds=60):
        """Wait until an expression of the page's `state` holds."""
        test = f"import('./link.js').then(({{ state }}) => Boolean({expression}))"
        for _ in range(int(seconds / 0.1)):
            if self.page.evaluate(test):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never: {expression}; {self.complaints}")

    def violations(self):
        """Have axe look at the page; returns what it finds, in words."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra [dev] has axe")
        found = axe.Axe().run(self.page).response["violations"]
        return [f"{v['id']}: {v['help']}: {[n['html'][:120] for n in v['nodes']][:4]}" for v in found]

    def shot(self, name, folder, **options):
        """Take a picture, for the documentation if it is made anew."""
        self.page.screenshot(path=Path(SHOTS or folder) / f"{name}.png", **options)
