"""Training: recordings in, a network out that sets a chain. The only room beside `export` and `study` that loads torch.

recordings/      found, kept apart, read, gathered
other_effects/   effects that are not ours, for data
priors           random settings of ours
takes            stretches played through random chains, rendered without end
shards           takes on disk, and pairs out of them
features         what the network is told of a clip
stft             power spectra, as they are trained with and as they are exported
network          the network
response_losses  errors of what settings do, with nothing played
sound_loss       errors of how they sound, through the effects' kernels
audio_losses     errors between sounds
system           the LightningModule of both phases
weights          what a training starts from
tuning           a few numbers of a trained network, by sound
datamodules      the LightningDataModules
render_cache     renders made once, in folders named by all that they depend on
synthetic        sounds made up, where recordings are too few
cli              `afx-train`
"""

__all__ = [
    "audio_losses",
    "cli",
    "datamodules",
    "features",
    "network",
    "other_effects",
    "priors",
    "recordings",
    "render_cache",
    "response_losses",
    "shards",
    "system",
]
