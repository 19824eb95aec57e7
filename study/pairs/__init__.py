"""Pairs: an input, a reference and the answer, drawn for any condition; the same ones for the same arguments."""

from .condition import MODES, Condition, Pair, Result, System
from .generators import GENERATORS, draw_pair

__all__ = ["GENERATORS", "MODES", "Condition", "Pair", "Result", "System", "draw_pair"]
