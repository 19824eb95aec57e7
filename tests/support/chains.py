"""Chains that put every effect to work."""

from afx_live.chain import ChainSettings, EffectSettings

WORKING = ChainSettings(
    (
        EffectSettings("equaliser", {"low_shelf_db": 6.0, "peak_2_db": -5.0, "high_shelf_db": 4.0}),
        EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
        EffectSettings("distortion", {"drive_db": 18.0, "mix": 0.8}),
        EffectSettings("reverb", {"mix": 0.2}),
    )
)
"""Those of the shipped model."""


def full(**gains):
    """All of them: with the limiter, too."""
    return ChainSettings((*WORKING.effects, EffectSettings("limiter", {"ceiling_db": -6.0})), **gains)
