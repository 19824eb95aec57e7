"""An untrained model, exported: small enough to make in a few seconds, good enough to be read, asked and played."""

from pathlib import Path


def write_small_model(folder: Path) -> Path:
    """Write a model folder of an untrained network with a plausible normalisation."""
    import lightning
    import torch

    from afx_live.export.model.write import write
    from afx_live.training.system import SettingsSystem

    torch.manual_seed(1)
    system = SettingsSystem(controller=64, encoder=32, tone=16)
    system.predictor.encoder.mean.normal_(0.0, 3.0)
    system.predictor.encoder.scale.fill_(5.0)
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=0)
    trainer.strategy.connect(system)
    trainer.save_checkpoint(folder / "last.ckpt")
    write(folder / "last.ckpt", folder / "small", "small", "Apache-2.0")
    return folder / "small"
