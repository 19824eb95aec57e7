"""Who may send OSC, and what a name that comes with it may open."""

import os
import socket
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.matching.clips import ClipError
from afx_live.realtime.osc import server as osc
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.session import matcher
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from support.attack import OUTSIDE, Attacker
from support.fake_session import FakeSession
from support.in_process import InProcess
from support.osc_client import message
from support.waiting import until


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "0", "::", "::0", "::ffff:0.0.0.0", "", "*", "0.0.0.0.", "localhost", socket.gethostname()]
)
def test_without_a_list_of_peers_only_loop_back_is_listened_on(host):
    try:
        server = osc.OscServer(FakeSession(), host=host, port=0)
    except (ValueError, osc.PortError):
        return
    with server:
        assert server.address[0].startswith("127.") or server.address[0] in ("::1", "::ffff:127.0.0.1")


@pytest.mark.parametrize(
    ("allow", "source", "heard"),
    [
        (["::1"], "::1", True),
        (["::1"], "127.0.0.1", False),
        (["127.0.0.1"], "127.0.0.1", True),
        (["::ffff:127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "::1", False),
        (["127.0.0.2", "fe80::1"], "127.0.0.1", False),
    ],
)
def test_peers_are_told_apart_whatever_they_call_themselves(allow, source, heard):
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("there is no IPv6 here")
    session = FakeSession()
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with osc.OscServer(session, host="::", port=0, allow=allow) as server:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as client:
            client.sendto(message("/afx/panic", "T"), (source, server.address[1]))
        until(lambda: server.counters["packets"] == 1)
        until(lambda: server.counters["dropped"] == 1 or session.calls)
    assert session.calls == ([{"/afx/panic": 1.0}] if heard else [])


OPENED: list[str] = []
sys.addaudithook(lambda event, words: OPENED.append(str(words[0])) if event == "open" and OPENED else None)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A clip folder and a preset folder, and around them all that must not be opened."""
    clips, home = tmp_path / "clips", tmp_path / "home"
    (clips / "sub").mkdir(parents=True)
    (home / "presets").mkdir(parents=True)
    monkeypatch.setenv("AFX_LIVE_HOME", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    sound = presets.clip("voice").read_bytes()
    for path in (clips / "good.wav", clips / "sub/deep.wav", tmp_path / "secret.wav", tmp_path / "away/secret.wav"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound)
    (clips / "link.wav").symlink_to(tmp_path / "secret.wav")
    (clips / "away").symlink_to(tmp_path / "away")
    (clips / "loop").symlink_to("loop")
    os.mkfifo(clips / "pipe")
    for path in (home / "presets/mine.json", home / "secret.json"):
        path.write_text(presets.to_json(presets.Preset("mine", ChainSettings())))
    return clips, home, tmp_path


def test_no_address_opens_anything_outside_the_clip_and_preset_folders(places, monkeypatch):
    clips, home, around = places
    listened = []

    def listen(path, model):
        listened.append(Path(path))
        raise ClipError("not now")

    monkeypatch.setattr(matcher, "read_reference", listen)
    before = sorted(around.rglob("*"))
    engine: Any = InProcess()
    model: Any = SimpleNamespace(lufs=-23.0, decision=SimpleNamespace(boldness=0.5))  # it is never asked for more
    playing = Session(engine, model, SessionState(ChainSettings()), [clips])
    playing.start()
    OPENED.append("")
    try:
        with osc.OscServer(playing, port=0) as server:
            attacker = Attacker(server)
            for path in [a.path for a in addresses() if a.kind == "string"]:
                for name in (*OUTSIDE, "sub/../good.wav", "sub/deep.wav", "mine"):
                    attacker.send(message(path, "s", name))
                    attacker.answers()
                    until(playing.matcher._jobs.empty)
            attacker.send(message("/afx/preset/load", "s", "mine"))
            until(lambda: playing.state.preset_name == "mine")
            attacker.socket.close()
    finally:
        opened = {os.path.realpath(path) for path in OPENED if path}
        OPENED.clear()
        playing.close()
    assert set(listened) == {clips / "good.wav", clips / "sub/deep.wav"}
    ours = {path for path in opened if path.startswith((str(around.resolve()), "/etc", "/dev", "/proc", "/root"))}
    assert {path for path in ours if "/lib/python" not in path} == {str((home / "presets/mine.json").resolve())}
    assert sorted(around.rglob("*")) == before
