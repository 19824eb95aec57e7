"""From a checkpoint to a model folder, and its proof.

write    needs torch; the folder's format is in matching/format.py
proof    needs onnxruntime alone
"""
