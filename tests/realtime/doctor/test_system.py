"""The system checks: each says what to do."""

import sys

import pytest

from afx_live.realtime.doctor import system
from afx_live.realtime.doctor.system import no_device


def test_every_check_says_what_to_do():
    found = list(system.checks())
    assert {"versions", "compiled code", "model"} <= {c.name for c in found}
    assert all(bool(c.fix) == (c.state != "ok") for c in found), found


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_what_stands_in_the_way_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "has_realtime_priority", lambda: False)
    monkeypatch.setattr(system, "servers", lambda: ["pipewire"])
    monkeypatch.setattr("os.geteuid", lambda: 65534)  # nobody
    monkeypatch.setattr("os.getgroups", list)
    monkeypatch.setattr("os.getegid", lambda: 65534)
    monkeypatch.setattr("resource.getrlimit", lambda which: (8 << 20, 8 << 20))
    monkeypatch.setattr("afx_live.presets.SHIPPED_MODEL", tmp_path)
    monkeypatch.setattr(system, "GOVERNORS", tmp_path)
    governor = tmp_path / "cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("powersave\n")
    monkeypatch.setattr("afx_live.dsp.sources.folder", lambda: None)
    monkeypatch.setattr("afx_live.dsp.library.opened", lambda: None)
    found = {c.name: c for c in system.checks()}
    for name, state, fix in (
        ("priority", "problem", "usermod -aG audio"),
        ("sound servers", "warning", "pw-jack"),
        ("locked memory", "warning", "memlock unlimited"),
        ("group audio", "warning", "usermod -aG audio nobody"),
        ("model", "problem", "pip install"),
        ("CPU clock", "warning", "cpupower frequency-set -g performance"),
        ("compiled code", "warning", "XDG_CACHE_HOME"),
    ):
        assert found[name].state == state, found[name]
        assert fix in found[name].fix


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_no_device_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "servers", lambda: ["pipewire"])
    cards, nodes = tmp_path / "cards", tmp_path / "snd"
    none = no_device("None.", cards, nodes)
    assert f"{cards}: no sound card" in none.text
    assert "pw-jack" in none.fix
    assert "jackd -r -d dummy" in none.fix
    cards.write_text(" 0 [USB            ]: USB-Audio - Scarlett 2i2\n                      Focusrite\n")
    closed = no_device("None.", cards, nodes)
    assert "Scarlett 2i2" in closed.text
    assert "usermod -aG audio" in closed.fix
