"""A server on a free port, the session behind it, and a client."""

import pytest

from afx_live.realtime.osc.server import OscServer
from support.fake_session import FakeSession
from support.osc_client import Client


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def server(session):
    with OscServer(session, port=0) as running:
        yield running


@pytest.fixture
def client(server):
    made = Client(server)
    yield made
    made.socket.close()
