"""Presets for other programs: CamillaDSP, EasyEffects, Equalizer APO, PipeWire; and for our plug-ins.

The equaliser and gains are the same filters everywhere. A reverb becomes impulse responses, which are exact up
to their length. A compressor keeps its static curve where there is one to set; what drives it moves otherwise.
Distortion has no counterpart. What became of each effect is told.
"""

from ..lv2_writer import PLAYER
from .export import SAVED_AS, TARGETS, ExportError, export, write
from .plan import Export, Fidelity

__all__ = ["PLAYER", "SAVED_AS", "TARGETS", "Export", "ExportError", "Fidelity", "export", "write"]
