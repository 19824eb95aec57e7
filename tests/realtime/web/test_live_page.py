"""The page of a live afx-live on JACK: meters that move, knobs that OSC moves, devices chosen on the page."""

import re
import socket
import subprocess

import numpy as np
import pytest
import soundfile

from afx_live import presets
from support.browser import PHONE
from support.jack import need
from support.programs import PROGRAM, Looper, Program, running

pytestmark = [pytest.mark.slow, pytest.mark.jack]
DRY = 0.98
"""How much of the input there is, at least, in what comes back where nothing is done to it."""
FRAMES = """
() => import("./link.js").then(async ({ on }) => {
  let count = 0;
  on("frame", () => (count += 1));
  await new Promise((done) => setTimeout(done, 3000));
  return count / 3;
})
"""


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def link_of(program):
    program.until("#token=", 60)
    return link_in(program.said)


def link_in(text):
    found = re.search(r"http://\S+", text)
    assert found
    return found[0]


def test_a_live_session_is_seen_and_controlled(jack, tmp_path, port, open_view, browser):
    reference = presets.clip("guitar_reference")
    words = ["--reference", str(reference), "--web", str(port), "--no-browser", "--blocksize", "512"]
    with running(jack, tmp_path, "guitar", *words) as (program, looper):
        view = open_view(link_of(program), size={"width": 1440, "height": 1130})
        view.until("state.mode === 'live' && state.stream.running")
        view.until("Object.keys(state.session.probability).length === 4", 60)
        assert view.page.evaluate(FRAMES) > 15.0  # 30 a second where the machine has the time
        for side in ("in", "out"):
            assert float(view.page.locator(f".meter-{side} .loudness").text_content().replace("−", "-")) > -50.0
        assert "block 512" in view.page.locator(".health-device").text_content()
        assert re.search(r"\d ms", view.page.locator(".health-latency").text_content())

        program.osc("/afx/compressor/threshold_db", "f", "-37.5")
        view.until("state.session.values['compressor/threshold_db'] === -37.5", 10)
        assert max(looper.likeness(0.5) for _ in range(6)) < DRY
        view.page.locator("body").press("b")
        view.until("state.session.values.bypass === true", 10)
        assert any(looper.likeness(0.5) > DRY for _ in range(60))  # a drop-out is in some, never in all
        view.page.locator("body").press("b")
        view.page.get_by_role("button", name="Panic").click()
        view.until("state.session.values.mute === true", 10)
        looper.heard(0.5)
        assert np.abs(looper.heard(0.5)).max() == 0.0
        view.page.get_by_role("button", name="Un-mute").click()
        view.until("state.session.values.mute === false", 10)
        program.osc("/afx/preset/load", "s", "warm")  # lets go of what was moved
        view.until("state.session.values.preset === 'warm'", 20)
        program.osc("/afx/reference", "s", "guitar_reference")
        view.until("state.references.length === 1", 30)
        program.osc("/afx/boldness", "f", "1")
        view.until("state.session.explanation?.effects.some((e) => e.effect === 'equaliser' && e.amount > 0)", 60)
        view.page.wait_for_timeout(4000)
        view.shot("page_live", tmp_path)
        assert view.violations() == []
        phone = open_view(view.link, size=PHONE, has_touch=True, is_mobile=True, color_scheme="light")
        phone.until("state.mode === 'live' && state.pictures?.reverb")
        assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert phone.violations() == []
        assert not view.complaints
        code, _ = program.end()
        assert code == 0
        view.page.wait_for_selector("body.down")


def test_devices_are_chosen_on_the_page_and_left_again(jack, tmp_path, port, open_view):
    program = Program(jack, tmp_path / "home", "--web", str(port), "--no-browser")
    sounds = Looper(jack, tmp_path, soundfile.read(presets.clip("guitar"))[0])
    try:
        view = open_view(link_of(program))
        view.until("state.mode === 'files'")
        view.page.get_by_label("A bundled reference").select_option("guitar_reference")
        view.until("state.references.length === 1")
        view.page.get_by_role("button", name="Play live …").click()
        dialog = view.page.get_by_role("dialog", name="Play live")
        for side in ("From", "To"):
            option = dialog.get_by_label(side).locator("option", has_text="JACK").first
            option.wait_for(state="attached")
            dialog.get_by_label(side).select_option(option.get_attribute("value"))
        dialog.get_by_role("button", name="Play live").click()
        view.until("state.mode === 'live' && state.stream.running", 90)
        assert view.state("state.references.length") == 1
        view.page.get_by_role("button", name="Work on files").click()
        view.until("state.mode === 'files'", 30)
        assert view.state("state.references.length") == 1
        assert program.end()[0] == 0
    finally:
        for process in (program.process, sounds.process):
            if process.poll() is None:
                process.kill()
                process.wait()


def test_without_a_device_the_page_works_on_files(tmp_path, port, open_view, monkeypatch):
    need("chromium", "chromium")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "no such server")
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path))
    words = [*PROGRAM, "--reference", str(presets.clip("guitar_reference")), "--web", str(port), "--no-browser"]
    words += ["--osc", "off", "-i", "no such device"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        line = next(line for line in process.stderr if "#token=" in line)
        view = open_view(link_in(line))
        view.until("state.mode === 'files' && state.references.length === 1")
        assert "E30" in view.state("state.notice")
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_studio_begins_with_a_recording_and_ends_with_a_preset(tmp_path, port, open_view, monkeypatch):
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path))
    words = [*PROGRAM, "studio", str(presets.clip("voice")), "-r", str(presets.clip("voice_reference"))]
    process = subprocess.Popen([*words, "--port", str(port), "--no-browser"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        line = next(line for line in process.stderr if "#token=" in line)
        view = open_view(link_in(line))
        view.until("state.recording?.name === 'voice.flac' && state.references.length === 1")
        view.until("Object.keys(state.session.probability).length === 4", 60)
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert (tmp_path / "presets" / "last.json").is_file()


def test_a_port_that_is_taken_is_exit_code_6(tmp_path, monkeypatch):
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        words = [*PROGRAM, "studio", "--no-browser", "--port", str(other.getsockname()[1])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 6
    assert "choose another with --web PORT" in done.stderr
    assert "Traceback" not in done.stderr
