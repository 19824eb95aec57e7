"""Waiting for something to happen."""

import time


def until(condition, seconds=10.0, about: object = ""):
    """Wait for a condition; returns how long it took, and fails after so many seconds, telling what it is `about`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited {seconds} s in vain {about}"
        time.sleep(0.01)
    return time.monotonic() - began
