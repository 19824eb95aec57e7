"""`afx-live doctor` and `afx-live doctor --loopback`."""

import json
import os
import sys

import pytest

from afx_live.realtime.audio.safety import LOOKAHEAD
from afx_live.realtime.cli.main import main
from afx_live.realtime.doctor import dropouts, loopback

RATE = 48000


NOTHING = {
    "raise OSError('PortAudio library not found')": "E300",
    "query_hostapis = lambda: [{'name': 'ALSA', 'default_input_device': -1, 'default_output_device': -1}]\n"
    "query_devices = lambda: []\nget_portaudio_version = lambda: (1246720, 'PortAudio V19.6.0')": (
        "PortAudio found none under ALSA"
    ),
}


@pytest.mark.parametrize("module", NOTHING)
def test_nothing_there_ends_with_3_and_the_whole_list(module, tmp_path, monkeypatch, capsys):
    (tmp_path / "sounddevice.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json"])
    assert end.value.code == 3
    data = json.loads(capsys.readouterr().out)
    told = {c["name"]: c for c in data["checks"]}
    assert NOTHING[module] in told["devices"]["text"]
    assert told["devices"]["state"] == "problem"
    assert told["devices"]["fix"]
    assert "model" in told
    assert (data["devices"], data["chosen"], data["drop_outs"], data["safe_block"]) == ([], None, [], None)


@pytest.mark.jack
@pytest.mark.slow
def test_the_doctor_names_a_block(on_jack, monkeypatch, capsys):
    monkeypatch.setattr(dropouts, "BLOCKS", (256, 64))
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json", "--seconds", "0.4"])
    data = json.loads(capsys.readouterr().out)
    assert data["chosen"] == {"input": "system", "output": "system", "api": "JACK"}
    assert [row["block"] for row in data["drop_outs"]] == [256, 64]
    for row in data["drop_outs"]:
        assert not row["error"]
        assert row["callbacks"] > 0.5 * 0.4 * RATE / row["block"]
        assert 0 < row["load"] < row["load_max"]
        assert row["latency_ms"] == pytest.approx((128 + row["block"] + LOOKAHEAD) / RATE * 1000)
    safe = [row["block"] for row in data["drop_outs"] if row["safe"]]
    assert data["safe_block"] == ({(256, 64): 64, (256,): 256, (64,): 64}.get(tuple(safe)))
    assert (data["empty"] is None) == (len(safe) == 2)
    assert end.value.code == (0 if safe else 3)
    assert "audio thread" in {c["name"] for c in data["checks"]} or sys.platform != "linux"


@pytest.mark.jack
@pytest.mark.slow
def test_no_loop_says_what_to_connect(on_jack, monkeypatch, capsys):
    monkeypatch.setattr(loopback, "PATIENCE_S", 0.0)
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--loopback", "-c", "2"])
    assert end.value.code == 3
    said = capsys.readouterr().err
    assert "E310 No loop heard: connect output 1 to input 2" in said
    assert "jack_connect afx-live:out_0 afx-live:in_1" in said
