"""What a plug-in's bundle says, without a compiler or a host."""

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.export.plugin.turtle import turtle


def test_a_users_preset_does_not_take_the_place_of_a_factory_one(tmp_path, monkeypatch):
    before = turtle(presets.load("lo-fi"), "x", "x.so")
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path))
    presets.save(presets.Preset("hall", ChainSettings(), notes="Mine."))
    assert presets.load("hall").notes == "Mine."
    assert turtle(presets.load("lo-fi"), "x", "x.so") == before
