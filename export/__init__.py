"""Export: what was trained or dialled in, in forms that other programs run.

model    a checkpoint as ONNX graphs with their description and proof
plugin   a preset as an LV2 or CLAP plug-in
cli      `afx-export`
"""

__all__ = ["model", "plugin"]
