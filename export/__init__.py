"""Export: what was trained or dialled in, in forms that other programs run.

model    a checkpoint as ONNX graphs with their description and proof
cli      `afx-export`
"""
