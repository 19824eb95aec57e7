"""Whatever there is to move has its handle on the page."""

import json

import pytest

from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.session.controls import controls

SAID = """
() => {
  window.said = [];
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    window.said.push(text);
    return send.call(this, text);
  };
}
"""
MOVED = """
async () => {
  const rest = () => new Promise((done) => setTimeout(done, 60));
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const slider of document.querySelectorAll("input[type=range]")) {
    slider.value = slider.value > 500 ? 300 : 700;
    slider.dispatchEvent(new Event("input"));
    await rest();
  }
  for (const button of document.querySelectorAll(".switch, .lock")) {
    button.click();
    await rest();
  }
  for (const select of document.querySelectorAll("main select")) {
    for (const { value } of [...select.options].slice(1, 3)) {
      select.value = value;
      select.dispatchEvent(new Event("change"));
      await rest();
    }
  }
}
"""


def _changed(said):
    """Give the names of the controls that messages of a page have set."""
    found = set()
    for message in map(json.loads, said):
        found |= {f"{place}/lock" for place in message.get("lock", {})}
        found |= {"reference"} if {"references", "reference", "reference_more"} & {*message} else set()
        found |= {*message.get("send", {})}
    return found


@pytest.mark.slow
def test_whatever_osc_moves_has_its_handle_on_the_page(matched, studio):
    page, chain = matched.page, studio.session.plain()["chain"]
    page.evaluate(SAID)
    page.evaluate(MOVED)
    page.get_by_role("button", name="Load", exact=True).click()
    page.get_by_role("button", name="Panic", exact=True).click()
    page.get_by_role("button", name="Un-mute", exact=True).click()
    for key in "ur":
        page.keyboard.press(key)
    for _ in range(2):
        page.evaluate("import('./match.js').then(({ flip }) => flip())")  # A/B while it plays live
    page.wait_for_function("window.said.some((text) => text.includes('\"bypass\"'))")
    found = _changed(page.evaluate("window.said"))
    wanted = {a.control.name for a in addresses() if a.control and a.kind not in ("told", "meter")}
    others = {c.name for c in controls() if c.name.partition("/")[0] not in {*chain, "input", "output", "morph"}}
    wanted -= {name for name in others if "/" in name} | {"ab"}  # effects that are not in the chain; bypass is A/B
    assert len(wanted) > 50
    assert wanted - found == set()
    assert not matched.complaints
