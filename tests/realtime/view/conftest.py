"""Fixtures for the view's tests."""

import json

import pytest

from support.terminals import start
from support.view import again, meters


@pytest.fixture
def shown(publisher):
    """The state of a running program, and its meters."""
    return json.loads(json.dumps(publisher.state())), meters()


@pytest.fixture
def child(terminal, player, publisher):
    again(publisher)
    made = start(terminal, player.folder)
    yield made
    if made.poll() is None:
        made.kill()
        made.wait()
