"""Signal processing that knows no effect: what effects, the player, the matcher and the study are built from.

biquad          second-order sections: cookbook coefficients, the compiled cascade and its adjoint, magnitudes
delay_line      reading, writing and tapping a ring buffer a tile at a time; feedback_delay_network: eight of them
oversampling    four times the sample rate and back through polyphase all-pass half-bands
dc_blocker      a first-order high-pass at 5 Hz that takes direct current off a stream
loudness        ITU-R BS.1770: K-weighting, meters for clips and streams, gates
true_peak       the level between samples, as BS.1770 has it
sound           what a sound is in an array, checked
polarity        several channels as one, none cancelling another
spectrum        long-term spectra in bands, and the minimum phase of a magnitude
fastmath        exp, log and tanh as vector code
simd            two, four or eight float64 in one register, in compiled code; lanes: how the compiler does that
layout          names for offsets into flat state
array_math      the functions that numpy arrays and torch tensors call differently
compiler        plain functions to C functions, called by address
library         the same, compiled when the package was built; entry: how Python calls it; late: without loading numba
compile_cache   numba's code on disk, stamped with all its sources
sources         what code is compiled from, and the folder that it is kept in
units           what names end in, and how people write them
cpu             denormals, memory fence, clock
"""

__all__ = [
    "array_math",
    "biquad",
    "compiler",
    "cpu",
    "dc_blocker",
    "delay_line",
    "entry",
    "fastmath",
    "feedback_delay_network",
    "lanes",
    "layout",
    "library",
    "loudness",
    "oversampling",
    "polarity",
    "simd",
    "sound",
    "sources",
    "spectrum",
    "true_peak",
    "units",
]
