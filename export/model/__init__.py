"""From a checkpoint to a model folder (see matching/format.py), and its proof. `write` needs torch, `proof` does not."""
