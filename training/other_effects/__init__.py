"""Effects of other kinds than ours, for training data only.

outcome       what such an effect gives: a sound, and the settings of ours that come nearest
filters, compressors, distortions, reverbs   drawn at random
chains        chains of ours and others, played and labelled
"""
