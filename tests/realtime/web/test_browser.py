"""The page in Chromium, on files: what people do there with a mouse, a keyboard, a finger."""

import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

import afx_live.realtime.web.page as page_module
from afx_live import presets
from support.browser import STARTS
from support.waiting import until

pytestmark = pytest.mark.slow
STATIC = Path(page_module.__file__).parent / "static"
MAX_BYTES = 150_000


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A recording and a reference as files that can be dropped."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("guitar", "guitar_reference", "voice_reference"):
        x, rate = soundfile.read(presets.clip(name), dtype="float32")
        soundfile.write(folder / f"{name}.wav", x, rate, subtype="PCM_16")
    return lambda name: folder / f"{name}.wav"


def test_it_loads_alone_and_complains_of_nothing(view, studio):
    assert view.page.title() == "afx-live"
    assert not view.complaints
    assert {urlsplit(url).netloc for url in view.asked} == {urlsplit(studio.link).netloc}
    assert "token" not in view.page.url  # out of sight, and out of the history
    view.page.reload()
    view.page.wait_for_selector("body:not(.down)[data-mode=files]")


def test_it_is_small():
    assert sum(file.stat().st_size for file in STATIC.rglob("*") if file.is_file()) < MAX_BYTES


def test_without_the_token_it_says_what_is_needed(studio, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(studio.link.partition("#")[0])
    page.get_by_text("This page needs the link that afx-live has printed").wait_for()
    page.goto(studio.link[:-3] + "xyz")
    page.reload()
    page.get_by_text("The token is not that of the afx-live that runs now").wait_for()
    context.close()


def test_a_recording_and_a_reference_are_dropped_and_matched(view, clip):
    view.drop("#recording-drop", clip("guitar"))
    view.until("state.recording?.name === 'guitar.wav'")
    view.drop("#match", clip("guitar_reference"))
    view.until("state.references?.[0]?.name === 'guitar_reference.wav'")
    view.until("Object.keys(state.session.probability).length === 4")
    view.page.locator("#match .heard li").nth(3).wait_for()
    assert view.page.locator("#match .heard li").count() == 4
    view.drop("#match", clip("voice_reference"), clip("guitar_reference"))
    view.until("state.references.length === 2")
    view.page.get_by_role("button", name="Leave out voice_reference.wav").click()
    view.until("state.references.length === 1")
    assert not view.complaints


def test_references_are_blended_by_keyboard_alone(matched):
    page = matched.page
    page.get_by_label("Blend the next one with these").focus()
    page.keyboard.press("Space")
    page.get_by_label("A bundled reference").focus()
    page.keyboard.type("voice r")
    page.keyboard.press("Enter")
    matched.until("state.references.length === 2", 60)
    page.get_by_role("button", name="Leave out voice reference").focus()
    page.keyboard.press("Enter")
    matched.until("state.references.length === 1", 60)


def test_a_file_is_chosen_by_keyboard_in_the_systems_dialog(view, clip):
    wanted = [clip("guitar"), clip("voice_reference")]
    view.page.on("filechooser", lambda dialog: dialog.set_files(wanted.pop(0)))
    view.page.wait_for_timeout(500)  # it is told of dialogs only from a moment later on
    for button, got in (("recording", "state.recording"), ("reference", "state.references?.[0]")):
        view.page.get_by_role("button", name=f"Choose a {button} …").focus()
        view.page.keyboard.press("Enter")
        view.until(f"['guitar.wav', 'voice_reference.wav'].includes({got}?.name)")
    assert not wanted


def test_what_is_no_sound_is_refused_in_words(view, tmp_path):
    (tmp_path / "song.wav").write_text("no sound at all")
    view.drop("#match", tmp_path / "song.wav")
    view.page.get_by_text(re.compile(r"song\.wav: .*cannot be read as audio")).wait_for()


def test_a_node_is_dragged_scrolled_and_made_neutral_on_every_page(matched, studio, open_view):
    other = open_view(studio.link)
    node = matched.page.get_by_role("slider", name="Equaliser peak 2")
    box = node.bounding_box()
    matched.page.mouse.move(box["x"] + 22, box["y"] + 22)
    matched.page.mouse.down()
    matched.page.mouse.move(box["x"] + 62, box["y"] - 38, steps=8)
    matched.page.mouse.up()
    gain, q = (matched.state(f"state.session.values['equaliser/peak_2_{what}']") for what in ("db", "q"))
    assert gain > 3.0
    other.until(f"Math.abs(state.session.values['equaliser/peak_2_db'] - {gain}) < 0.01", 30)
    assert studio.session.state.settings.effect("equaliser").values["peak_2_db"] == pytest.approx(gain, abs=0.01)
    matched.page.mouse.wheel(0, -100)
    other.until(f"state.session.values['equaliser/peak_2_q'] > {q}", 30)
    node.dblclick()
    other.until("state.session.values['equaliser/peak_2_db'] === 0", 30)
    matched.page.get_by_role("button", name="Undo").click()
    other.until("state.session.values['equaliser/peak_2_db'] !== 0", 30)


def test_what_osc_moves_moves_on_the_page(matched, studio):
    studio.session.send({"compressor/threshold_db": -41.5})
    matched.until("state.session.values['compressor/threshold_db'] === -41.5", 30)
    slider = matched.page.locator("#effect-compressor").get_by_role("slider", name="threshold")
    assert slider.get_attribute("aria-valuetext") == "−41.5 dB"


def _playing(matched):
    matched.page.get_by_role("button", name="Play", exact=True).click()
    for _ in range(300):
        if matched.page.locator(".meter-out .loudness").text_content() != "−∞":
            return
        matched.page.wait_for_timeout(100)
    raise AssertionError("nothing is heard")


def test_it_plays_and_what_is_heard_is_switched_while_it_plays(matched):
    _playing(matched)
    for name in ("before", "reference", "after"):
        matched.page.get_by_role("radio", name=name).click()
        assert matched.page.locator("[role=radio][aria-checked=true]").get_attribute("data-side") == name
        matched.page.wait_for_timeout(200)
    matched.page.keyboard.press("Space")
    assert matched.page.get_by_role("radio", name="before").get_attribute("aria-checked") == "true"
    first = matched.page.locator(".time").text_content()
    matched.page.wait_for_timeout(1500)
    assert matched.page.locator(".time").text_content() != first
    assert not matched.complaints


def test_a_panic_is_silence_and_what_comes_after_it_plays_on(matched):
    _playing(matched)
    loudest = "import('./link.js').then(({ frame }) => Math.max(...frame.spectrum))"
    matched.page.keyboard.press("m")
    matched.page.wait_for_timeout(1000)
    assert matched.page.evaluate(loudest) < -100.0
    matched.page.keyboard.press("m")
    until(lambda: matched.page.evaluate(loudest) > -80.0, 20)


def test_a_turn_is_heard_within_a_moment(matched):
    matched.page.evaluate(STARTS)
    _playing(matched)
    times = []
    for gain in (-12.0, -9.0, -6.0, -3.0, 0.0):
        matched.page.wait_for_timeout(700)
        took = matched.page.evaluate(
            """async (gain) => {
              const { set } = await import("./link.js");
              const from = performance.now();
              set({ "equaliser/bypass": false, "equaliser/peak_3_db": gain });
              for (;;) {
                const found = window.starts.find((at) => at > from);
                if (found) return found - from;
                await new Promise((done) => setTimeout(done, 5));
                if (performance.now() - from > 10000) return 10000;
              }
            }""",
            gain,
        )
        times.append(took)
    print(f"heard after {np.round(times)} ms", matched.page.locator("#trouble").text_content())
    # On an idle machine all are under 200 ms; tests share theirs.
    assert min(times) < 200.0 * float(os.environ.get("AFX_TEST_SLOWNESS", "2"))


def test_a_stretch_is_heard_round_and_round(matched):
    wave = matched.page.get_by_role("slider", name="Position")
    box = wave.bounding_box()
    matched.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20)
    matched.page.mouse.down()
    matched.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 20, steps=5)
    matched.page.mouse.up()
    whole = matched.page.get_by_role("button", name="Whole recording")
    whole.wait_for()
    _playing(matched)
    matched.page.wait_for_timeout(1500)
    seconds = float(wave.get_attribute("aria-valuenow"))
    assert 0.19 * 7 <= seconds <= 0.31 * 8 + 1
    whole.click()
    assert not whole.is_visible()


def test_sound_and_preset_are_saved(matched, tmp_path):
    for button, name in (("Save sound", "guitar"), ("Save preset", "preset.json")):
        with matched.page.expect_download() as waiting:
            matched.page.get_by_role("button", name=button, exact=True).click()
        assert waiting.value.suggested_filename.startswith(name)
        waiting.value.save_as(tmp_path / name)
    assert soundfile.info(tmp_path / "guitar").frames == soundfile.info(presets.clip("guitar")).frames
    presets.from_json((tmp_path / "preset.json").read_text())


def test_presets_are_saved_loaded_and_compared(matched):
    page = matched.page
    page.get_by_label("Save as").fill("from the page")
    page.get_by_label("Save as").press("Enter")
    matched.until("state.presets.includes('from the page')", 10)
    page.get_by_label("Preset", exact=True).select_option("telephone")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Where it differs from telephone").wait_for()
    assert page.locator(".contrast tr").count() > 3
    page.get_by_role("button", name="Hear telephone").click()
    matched.until("state.session.values.preset === 'telephone'", 20)
    page.get_by_role("button", name="Back to mine").click()
    matched.until("state.session.values.preset !== 'telephone'", 20)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Save as").fill("from the page")
    page.get_by_label("Save as").press("Enter")
    page.get_by_text("Saved as from the page").wait_for(state="attached")


def test_it_reconnects_when_the_server_has_died(matched, studio, open_view):
    other = open_view(studio.link)
    os.kill(studio.page._server.process.pid, signal.SIGKILL)
    matched.page.wait_for_selector("body.down")
    matched.page.get_by_text("afx-live does not answer").wait_for()
    for view in (matched, other):
        view.page.wait_for_selector("body:not(.down)", timeout=60000)
    studio.session.send({"amount": 0.4})
    for view in (matched, other):
        view.until("state.session.values.amount === 0.4", 20)
    studio.session.send({"amount": 1.0})
