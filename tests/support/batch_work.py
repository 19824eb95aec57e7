"""Work for the tests of batches: pickled, so that spawned processes and Ray's workers find it here."""

import os
import signal
from pathlib import Path


def copy(item):
    """Write what is read, in capitals; a name says what goes wrong instead."""
    text = item.source.read_text()
    if "bad" in item.source.name:
        raise ValueError(f"{item.source.name} is bad")
    if "deadly" in item.source.name:
        os.kill(os.getpid(), signal.SIGKILL)
    item.target.parent.mkdir(parents=True, exist_ok=True)
    item.target.write_text(text.upper())
    return {"status": "done", "pid": os.getpid()}


def die_once(item):
    """Kill the first worker that takes this item, leaving a mark."""
    mark = Path(f"{item.source}.died")
    if "once" in item.source.name and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return copy(item)
