"""Chains of effects: what a chain is set to, its parameter vector both ways, and the player that ramps parameters."""

from .player import Rack, play_clip
from .settings import CANONICAL, Chain, Settings, Step

__all__ = ["CANONICAL", "Chain", "Rack", "Settings", "Step", "play_clip"]
