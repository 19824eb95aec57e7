"""What was chosen, in words that do not contradict each other."""

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.matching import OUT_OF_RANGE, sentences


def test_of_nothing_the_half_is_said_that_is_true():
    off = ChainSettings((EffectSettings("compressor", {}, False),))
    assert sentences(off, True)[0] == "nothing: the input already sounds like that"
    assert "already" not in sentences(off, False)[0] + OUT_OF_RANGE
    assert sentences(off)[0] == "nothing: no effect is on"
    assert sentences(ChainSettings((EffectSettings("compressor", {}),)), False)[0].startswith("compressor")
