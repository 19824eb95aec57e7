"""The page's server: what it tells pages, what it takes from them, and its life."""

import io
import json
import os
import signal
import socket
import time

import pytest

from afx_live.realtime.web import link
from afx_live.realtime.web.page import PortError
from afx_live.realtime.web.pages import BURST, MAX_MESSAGE, MAX_PAGES
from support.page import Client, Desk, frame, served


def test_a_page_is_told_the_state_and_what_any_other_changes_in_it(client, desk):
    one, two = client.open(), client.open()
    for page in (one, two):
        page.until(lambda m, s: "values" in s and "spec" in s)
    one.send({"send": {"amount": 0.25}})
    for page in (one, two):
        page.until(lambda m, s: s["values"]["amount"] == 0.25, 2.0)
    assert {"send": {"amount": 0.25}} in desk.heard


def test_an_answer_goes_to_the_page_that_has_asked(client, desk):
    one, two = client.open(), client.open()
    one.send({"ping": 7})
    assert one.until(lambda m, s: "echo" in m) == {"echo": 7}
    two.send({"ping": 8})
    assert two.until(lambda m, s: "echo" in m) == {"echo": 8}


def test_what_fails_is_said_in_words(client):
    page = client.open()
    page.send({"fail": "amount: 2 is not in 0..1"})
    assert page.until(lambda m, s: "error" in m)["error"] == "amount: 2 is not in 0..1"
    page.send({"bug": "x"})
    assert "a bug" in page.until(lambda m, s: "error" in m)["error"]
    page.send({"ping": 1})
    page.until(lambda m, s: "echo" in m)


def test_a_question_is_answered_with_bytes(client):
    status, headers, body = client.ask({"size": 5})
    assert (status, body) == (200, b"\0\1" * 5)
    assert json.loads(headers["x-about"]) == {"asked": {"size": 5}}
    status, _, body = client.ask({"fail": "no such preset"})
    assert (status, json.loads(body)) == (422, {"error": "no such preset"})


def test_a_file_is_given_to_be_saved(client, tmp_path):
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    status, headers, body = client.ask({"file": str(tmp_path / "x.wav")})
    assert (status, body) == (200, b"RIFF")
    assert headers["content-disposition"] == 'attachment; filename="saved.wav"'
    assert headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 9000, b'{"a":' * 2000, b"x" * (MAX_MESSAGE + 1)]
)
def test_a_question_that_is_none_is_refused(client, body):
    given = {"Authorization": f"Bearer {client.token}", "Content_Type": "application/json"}
    assert client.request("POST", "/ask", body, **given)[0] in (400, 413)
    assert (
        client.request("POST", "/ask", b"{}", Authorization=f"Bearer {client.token}", Content_Type="text/plain")[0]
        == 415
    )


@pytest.mark.slow
def test_there_are_so_many_pages_and_no_more():
    with served() as (page, _):
        client = Client(page)
        pages = [client.open() for _ in range(MAX_PAGES)]
        for one in pages:
            one.until(lambda m, s: "welcome" in m)
        assert client.open().closed() == 4429
        pages[0].raw.close()
        time.sleep(0.5)
        client.open().until(lambda m, s: "welcome" in m)


def test_a_flood_from_one_page_keeps_nobody_else_from_being_heard(client, desk):
    loud, other = client.open(), client.open()
    other.until(lambda m, s: "welcome" in m)
    loud.raw.sendall(frame(b'{"ping": 1}') * 20000)
    began = time.monotonic()
    other.send({"ping": 2})
    other.until(lambda m, s: "echo" in m, 5.0)
    assert time.monotonic() - began < 5.0
    assert "left out" in loud.until(lambda m, s: "error" in m)["error"]
    assert sum(m == {"ping": 1} for m in desk.heard) < 2 * BURST


@pytest.mark.slow
def test_a_server_that_dies_is_replaced_under_the_same_link():
    with served() as (page, desk):
        client = Client(page)
        first = client.open()
        first.until(lambda m, s: "values" in s)
        desk.values["amount"] = 0.125
        assert page._server.process
        os.kill(page._server.process.pid, signal.SIGKILL)
        assert first.closed() is None
        end = time.monotonic() + 20
        while True:
            try:
                again = client.open()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.1)
        again.until(lambda m, s: s.get("values", {}).get("amount") == 0.125)


def test_the_server_ends_with_afx_live(place):
    with served() as (page, _):
        process, folder = page._server.process, page.folder
        assert process
        assert folder.is_dir()
    assert process.poll() is not None
    assert not folder.exists()


def test_a_port_that_is_taken_is_said_to_be():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortError, match="--web PORT"), served(port=other.getsockname()[1]):
            pass


def test_the_link_takes_messages_whole_or_not_at_all():
    packed = link.pack({"a": [1, "é"]}, b"data")
    assert link.read(io.BytesIO(packed)) == ({"a": [1, "é"]}, b"data")
    for cut in range(len(packed)):
        assert link.read(io.BytesIO(packed[:cut])) is None
    for bad in (link.HEAD.pack(2**31, 0), link.HEAD.pack(2, 0) + b"[]", link.HEAD.pack(3, 0) + b"{x}"):
        with pytest.raises(link.BrokenLink):
            link.read(io.BytesIO(bad))
    with pytest.raises(ValueError, match="JSON compliant"):
        link.pack({"a": float("nan")})


@pytest.mark.slow
def test_a_desk_that_fails_is_no_end():
    class Failing(Desk):
        def wait(self, timeout_s):
            raise RuntimeError("no state")

    with served(Failing()) as (page, _):
        client = Client(page)
        client.open().until(lambda m, s: "welcome" in m)
