"""A Ray cluster of two workers, and programs that use it, in processes of their own: Ray leaves threads behind."""

import signal
import subprocess
import sys

import pytest

BEGIN = """
import sys
import ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
"""
COMMAND = """
from afx_live.realtime.cli.main import main
main(sys.argv[1:])
"""
"""`afx-live` with these words."""


def on_two_workers(code, *words, **more):
    """Start a program, for which Ctrl-C is what it is in a terminal; it imports `support`, and its workers do."""
    pytest.importorskip("ray")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begin = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen([sys.executable, "-c", BEGIN + code, *words], **pipes, **begin, **more)
