"""`afx-live --virtual-mic` from outside, on a headless PipeWire: a call hears what it plays, and nothing is left."""

import os
import signal
import subprocess
import threading

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.realtime.audio.safety import LOOKAHEAD
from support.pipewire import QUANTUM, card, session
from support.programs import PROGRAM
from support.waiting import until

pytestmark = pytest.mark.slow
RATE = 48000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with session(tmp_path_factory.mktemp("pipewire")) as server, card(server):
        yield server


@pytest.fixture
def afx(server, tmp_path):
    """`afx-live --virtual-mic` with a chain that only delays, and what it says."""
    presets.save(presets.Preset("wire", ChainSettings()), tmp_path / "presets" / "wire.json")
    env = {**os.environ, **server.env, "AFX_LIVE_HOME": str(tmp_path)}
    words = [*PROGRAM, "--preset", "wire", "--virtual-mic", "--osc", "off", "--blocksize", str(QUANTUM)]
    process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = []
    assert process.stderr
    threading.Thread(target=said.extend, args=(process.stderr,), daemon=True).start()
    until(lambda: any("Hz, block" in line for line in said), 180, said)
    yield process, said
    process.kill()
    process.wait()


def test_what_the_card_hears_is_what_a_call_hears(server, afx, tmp_path):
    """Delayed by the look-ahead and a block, as is told: the microphone itself adds nothing."""
    _, said = afx
    assert any('Microphone "afx-live"' in line for line in said)
    x = np.random.default_rng(5).uniform(-0.3, 0.3, (4 * RATE, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", x, RATE, subtype="FLOAT")
    heard = tmp_path / "y.wav"
    record = ["pw-record", "--target", "0", "--channels", "4", "--channel-map", "FL,FR,RL,RR", "--format", "f32"]
    with server.running(*record, "--rate", str(RATE), "-P", "node.name=ear", str(heard)):
        play = ["pw-play", "--target", "0", "-P", "node.name=player", str(tmp_path / "x.wav")]
        with server.running(*play) as player:
            out = ["player:output_FL", "player:output_FR"]
            server.link(["afx-live:capture_FL", "afx-live:capture_FR"], ["ear:input_FL", "ear:input_FR"])
            server.link(out, ["card.feed:input_FL", "card.feed:input_FR"])
            server.link(out, ["ear:input_RL", "ear:input_RR"])
            player.wait(10)
    y = soundfile.read(heard, dtype="float32")[0]
    told = LOOKAHEAD + QUANTUM
    likeness = []
    for at in range(0, len(y) - RATE, RATE // 10):  # pieces, for a busy machine drops blocks
        sent, got = y[at : at + RATE // 10, 2], y[at + told : at + told + RATE // 10, 0]
        likeness.append(float(sent @ got) / (np.linalg.norm(sent) * np.linalg.norm(got) + 1e-9))
    assert np.median([value for value in likeness if value != 0.0]) > 0.999


def test_it_is_gone_after_ctrl_c(server, afx):
    process, said = afx
    assert "afx-live" in server.sources()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    until(lambda: "afx-live" not in server.sources())
    assert not any("Traceback" in line for line in said)


def test_it_is_gone_after_a_crash(server, afx):
    process, _ = afx
    assert "afx-live" in server.sources()
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: "afx-live" not in server.sources(), 10)


WRONG = [
    (["--virtual-mic", "-o", "card"], 2, "leave out --output-device"),
    (["--virtual-mic", "-i", "3"], 2, "a part of a microphone's name"),
    (["--virtual-mic", "a:b"], 2, "no name for a microphone"),
    (["--virtual-mic-default"], 2, "belongs to --virtual-mic"),
    (["--virtual-mic", "-i", "afx-live"], 3, "would hear itself"),
]


@pytest.mark.parametrize(("words", "code", "text"), WRONG)
def test_what_does_not_fit_is_said(server, tmp_path, words, code, text):
    env = {**os.environ, **server.env, "AFX_LIVE_HOME": str(tmp_path)}
    words = [*PROGRAM, "--preset", "warm", "--osc", "off", *words]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == code
    assert text in done.stderr
    assert "afx-live" not in server.sources()
