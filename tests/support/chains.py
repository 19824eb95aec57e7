"""Chains that put every effect to work."""

from afx_live.chain import ChainSettings, EffectSettings


def full(**gains):
    """A chain with every effect at work."""
    return ChainSettings(
        (
            EffectSettings("equaliser", {"peak_2_db": 6.0, "high_shelf_db": -4.0}),
            EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
            EffectSettings("distortion"),
            EffectSettings("reverb"),
            EffectSettings("limiter", {"ceiling_db": -6.0}),
        ),
        **gains,
    )
