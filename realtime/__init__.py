"""The live engine: plays a chain between audio devices, matches it to references, obeys OSC, keys and the command line.

audio/ plays, session/ decides what, osc/, view/ and web/ connect it to the world, batch/ works through thousands of
files, doctor/ measures the machine, cli/ is `afx-live`; threads: started again if they die.
From Python: `LiveEngine(settings, StreamOptions(...))` plays, `Session` matches what it hears.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .audio.devices import DeviceError
    from .audio.engine import Engine
    from .audio.live_engine import LiveEngine
    from .audio.options import StreamOptions
    from .session.session import Session

__all__ = ["DeviceError", "Engine", "LiveEngine", "Session", "StreamOptions"]
_HOME = {
    "DeviceError": "audio.devices",
    "Engine": "audio.engine",
    "LiveEngine": "audio.live_engine",
    "Session": "session.session",
    "StreamOptions": "audio.options",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: the command line's help must not load the engine."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
