"""Fixtures for all tests."""

import os
import signal
import tempfile
from pathlib import Path

import numba
import numpy as np
import pytest
import soundfile

from afx_live.matching import MatchModel
from afx_live.presets import clip
from support.jack import Jack, need

# A background job, as CI may be, starts with Ctrl-C ignored, one under nohup with SIGHUP; children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Some tests run themselves as programs of their own, which need `support`, too.
os.environ.setdefault("AFX_LIVE_HOME", tempfile.mkdtemp(prefix="afx-live-home-"))  # never the user's own presets
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))


@pytest.fixture
def one_thread():
    """Hundreds of calls with little to do each: waking the other threads would take most of the time."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home of the test's own, which is not there yet."""
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def jack():
    need("jackd", "jackd2")
    server = Jack()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def model() -> MatchModel:
    """The shipped model; not to be changed."""
    return MatchModel()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Six recordings of 12 s, made of the bundled clips at other speeds."""
    home = tmp_path_factory.mktemp("recordings")
    for name in ("voice", "guitar", "drums"):
        x, rate = soundfile.read(clip(name))
        for i, speed in enumerate((44100, 52000)):
            soundfile.write(home / f"{name}_{i}.flac", np.resize(x, 12 * rate), speed)
    return home


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> Path:
    """An untrained model's folder, in the newest version of the format."""
    from support.small_model import write_small_model

    return write_small_model(tmp_path_factory.mktemp("model"))
