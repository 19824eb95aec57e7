"""Chains of effects: what a chain is set to, its parameter vector both ways, and the player that ramps parameters."""

from .parameters import ChainParameters
from .player import ChainPlayer, play_clip
from .settings import CANONICAL, ChainSettings, EffectSettings

__all__ = ["CANONICAL", "ChainParameters", "ChainPlayer", "ChainSettings", "EffectSettings", "play_clip"]
