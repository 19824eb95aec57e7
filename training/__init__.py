"""Training: recordings in, a network out that sets a chain. The only room beside `export` and `study` that loads torch.

recordings/      found, kept apart, read, gathered
other_effects/   effects that are not ours, for data
priors           random settings of ours
takes            stretches played through random chains, rendered without end
shards           takes on disk, and pairs out of them
features         what the network is told of a clip
network          the network
response_losses  errors of what settings do, with nothing played
sound_loss       errors of how they sound, through the effects' kernels
system           the LightningModule of both phases
tuning           a few numbers of a trained network, by sound
datamodules      the LightningDataModules
cli              `afx-train`
"""
