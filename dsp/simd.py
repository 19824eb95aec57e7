"""Several numbers side by side, as the processor's vector registers hold them; for compiled code only.

A recursion cannot be taken for several frames at once, but it can for several channels. Compilers
find that out for simple loops only; here it is said: `f64x2` and its like make lanes, `+ - *` work on
all lanes at once, `load_f64x2` and `store` move them from and to memory. Lanes never mix: each has the
same bits as if it were alone. Filters in a row go into eight lanes, each a frame behind the one
before it: `shift_in_low` hands every filter what the one before it gave. What each of them does is said in lanes.py.
"""

from .late import late_name

_LANES = f"{__package__}.lanes"

f64x2, f64x4, f64x8 = (late_name(_LANES, name) for name in ("f64x2", "f64x4", "f64x8"))
load_f64x2, load_f64x4, load_f64x8 = (late_name(_LANES, f"load_f64x{n}") for n in (2, 4, 8))
store, unpack, extract = (late_name(_LANES, name) for name in ("store", "unpack", "extract"))
duplicate_low, duplicate_high = late_name(_LANES, "duplicate_low"), late_name(_LANES, "duplicate_high")
interleave_low, interleave_high = late_name(_LANES, "interleave_low"), late_name(_LANES, "interleave_high")
shift_in_low, shift_in_high = late_name(_LANES, "shift_in_low"), late_name(_LANES, "shift_in_high")
swap_pairs, select_range = late_name(_LANES, "swap_pairs"), late_name(_LANES, "select_range")
