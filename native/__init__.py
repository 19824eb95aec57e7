"""The engine without Python: every effect and the chain player, compiled ahead of time behind a C interface.

`afx.h` is the interface. The same numba functions that play live (`entries`, `functions`) are compiled for each
instruction-set level (`compile`), described to C (`describe`) and linked with `afx.c` (`build`). Plug-ins are made of
it, and the library that the wheel carries, with which `afx-live` needs no compiler (`dsp.library`). `meters` names what
they show.
"""

__all__ = ["build", "meters"]
