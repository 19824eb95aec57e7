"""A Ray cluster of two workers, and programs that use it, in processes of their own: Ray leaves threads behind."""

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


def on_two_workers(code, *words):
    """Start a program; it imports `support`, and its workers do."""
    pytest.importorskip("ray")
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", BEGIN + code, *words], stdout=pipe, stderr=pipe, text=True)
