"""The page's server: what it tells, what it takes, and that nobody else than the page gets anything out of it."""

import io
import json
import os
import random
import signal
import socket
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette", reason="the page needs the extra [web]")

from afx_live.realtime.web import decoder, link
from afx_live.realtime.web.page import PortError
from afx_live.realtime.web.pages import BURST, MAX_MESSAGE, MAX_PAGES
from afx_live.realtime.web.uploads import MAX_BYTES, shown
from support.page import Client, Desk, frame, served

FRAMES = int(os.environ.get("AFX_FUZZ_FRAMES", "20000"))
"""Random frames at the socket; `AFX_FUZZ_FRAMES=1000000` takes minutes."""


@pytest.fixture(scope="module")
def place():
    with served() as found:
        yield found


@pytest.fixture
def client(place):
    return Client(place[0])


@pytest.fixture
def desk(place):
    place[1].heard.clear()
    return place[1]


def sound(seconds=1.0, rate=48000, channels=2, kind="FLAC", **more):
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.repeat(x[:, None], channels, 1), rate, format=kind, **more)
    return file.getvalue()


# --- who may come ---------------------------------------------------------------------------------


REBOUND = ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", None]
REBOUND += ["127.0.0.1:{port}@evil.example", "127.0.0.1:{port}.evil.example", "0.0.0.0:{port}", "2130706433:{port}"]


@pytest.mark.parametrize("host", REBOUND)
def test_a_name_that_its_owner_points_to_this_machine_gets_nothing(client, host):
    host = host and host.format(port=client.port)
    for method, path in (
        ("GET", "/"),
        ("GET", "/index.html"),
        ("PUT", "/upload"),
        ("POST", "/ask"),
        ("GET", "/socket"),
    ):
        status, headers, body = client.request(method, path, Host=host, Authorization=f"Bearer {client.token}")
        assert status in (400, 421), (method, path, headers)  # 400: HTTP itself does not allow it
        assert client.token.encode() not in body
    assert client.shake(Host=host, Origin=f"http://{host}")[0] in (400, 403)


def test_two_hosts_are_none(client):
    for hosts in ([client.netloc, "evil.example"], ["evil.example", client.netloc]):
        assert client.request("GET", "/", Host=hosts)[0] in (400, 421)
        assert client.shake(Host=hosts)[0] in (400, 403)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_the_machines_own_names_are_served(client, name):
    assert client.request("GET", "/", Host=f"{name}:{client.port}")[0] == 200


FOREIGN = ["http://evil.example", "null", "http://127.0.0.1", "http://localhost:1", "https://{netloc}", "file://", ""]
FOREIGN += ["http://{netloc}.evil.example", "http://evil.example/http://{netloc}", "http://localhost:{port}"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_another_sites_page_can_do_nothing(client, desk, origin):
    origin = origin.format(netloc=client.netloc, port=client.port)
    assert client.shake(Origin=origin)[0] == 403
    assert client.put("x.wav", sound(), Origin=origin)[0] == 403
    assert client.ask({"size": 1}, Origin=origin)[0] == 403
    assert not desk.heard
    assert not desk.uploads


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_of_another_site_counts_without_an_origin_too(client, site):
    assert client.request("GET", "/", Sec_Fetch_Site=site)[0] == 403
    assert client.ask({}, Sec_Fetch_Site=site)[0] == 403
    assert client.shake(Sec_Fetch_Site=site, Origin=None)[0] == 403


def test_no_other_origin_is_ever_allowed_to_read_an_answer(client):
    for method in ("OPTIONS", "GET", "HEAD", "PUT", "POST", "DELETE"):
        for path in ("/", "/upload", "/ask", "/socket", "/no/such"):
            _, headers, _ = client.request(
                method, path, Origin="http://evil.example", Access_Control_Request_Method="PUT"
            )
            assert not [key for key in headers if key.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/index.html", "/no/such", "/upload", "/ask", "/../server.py"])
def test_every_answer_says_what_it_may_be_used_for(client, path):
    _, headers, _ = client.request("GET", path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


PATHS = ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/static/../../security.py", "//etc/passwd", "/%00"]


@pytest.mark.parametrize("path", PATHS)
def test_only_the_pages_own_files_are_served(client, path):
    status, _, body = client.request("GET", path)
    assert status in (400, 404)
    assert b"import" not in body
    assert b"root:" not in body


WRONG = [None, "", "Bearer", "Bearer ", "Bearer x", "Basic {token}", "{token}", "bearer {token}", "Bearer {token}x"]


@pytest.mark.parametrize("given", WRONG)
def test_without_the_token_nothing_is_done(client, desk, given):
    given = given and given.format(token=client.token)
    assert client.put("x.wav", sound(), Authorization=given)[0] == 401
    assert client.ask({"size": 1}, Authorization=given)[0] == 401
    assert not desk.uploads


@pytest.mark.parametrize("token", ["", "x", None, 1, [], {"a": 1}, "\u00e9", "\ud800", "x" * 4000])
def test_a_socket_without_the_token_is_closed_and_told_nothing(client, token):
    status, raw = client.shake()
    assert status == 101
    raw.sendall(frame(json.dumps({"token": token}).encode()))
    kind, data = _first(raw)
    assert (kind, struct.unpack(">H", data[:2])[0]) == (8, 4401)


def _first(raw):
    from support.page import Socket

    return Socket(raw).receive()


def test_a_socket_that_says_nothing_is_closed(client):
    status, raw = client.shake()
    assert status == 101
    raw.settimeout(10)
    kind, data = _first(raw)
    assert (kind, struct.unpack(">H", data[:2])[0]) == (8, 4401)


def test_the_once_link_opens_one_page_which_is_told_the_token():
    with served() as (page, _):
        client = Client(page)
        once = page.once.partition("token=")[2]
        assert once != client.token
        first = client.open(once)
        assert first.until(lambda m, s: "welcome" in m)["welcome"] == client.token
        assert client.open(once).closed() == 4401
        assert client.ask({}, Authorization=f"Bearer {once}")[0] == 401


def test_the_token_is_in_the_fragment_alone_and_long(place):
    page, _ = place
    address, _, fragment = page.link.partition("#")
    token = fragment.removeprefix("token=")
    assert len(token) >= 32
    assert token not in address
    for process in Path("/proc").glob("[0-9]*/cmdline"):  # nor can other users see it among the processes
        try:
            assert token.encode() not in process.read_bytes()
        except OSError:
            continue


def test_it_listens_on_loop_back_alone_unless_told_otherwise(place):
    page, _ = place
    port = Client(page).port
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    where = {row[1].partition(":")[0] for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == port}
    assert where == {"0100007F"}


def test_on_the_network_the_address_itself_is_a_host_and_a_foreign_name_is_none():
    with served(host="0.0.0.0", names=("studio.local",)) as (page, _):
        client = Client(page)
        client.host = "127.0.0.1"
        for host, status in (("127.0.0.1", 200), ("studio.local", 200), ("0.0.0.0", 421), ("evil.example", 421)):
            assert client.request("GET", "/", Host=f"{host}:{client.port}")[0] == status
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: it tells the machine's own address
            own = probe.getsockname()[0]
        client.host = own
        assert client.request("GET", "/", Host=f"{own}:{client.port}")[0] == 200
        assert client.request("GET", "/", Host=f"127.0.0.1:{client.port}")[0] == 200


# --- what it tells and takes ----------------------------------------------------------------------


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


# --- uploads --------------------------------------------------------------------------------------


def test_a_recording_is_taken_and_decoded(client, desk, place):
    status, _, body = client.put("My%20voice.flac", sound(2.0, 44100))
    assert status == 200
    found = json.loads(body)
    assert found["name"] == "My voice.flac"
    assert (found["sample_rate"], found["channels"], found["frames"]) == (44100, 2, 88200)
    assert found["peak"] == pytest.approx(0.5, abs=1e-3)
    x, rate = soundfile.read(place[0].folder / f"{found['id']}.wav")
    assert (x.shape, rate) == ((88200, 2), 44100)
    assert desk.uploads[-1]["id"] == found["id"]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_all_common_formats_are_read(client, kind):
    assert client.put(f"x.{kind.lower()}", sound(1.0, 44100, 1, kind))[0] == 200


NAMES = [
    "..%2F..%2Fetc%2Fpasswd",
    "%2Fetc%2Fpasswd",
    "a%00b",
    "%0d%0aSet-Cookie:x",
    "x" * 5000,
    "",
    "con",
    "%F0%9F%8E%B8",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_and_never_a_path(client, place, name):
    status, headers, body = client.put(name, sound(0.5))
    assert status in (200, 414, 400)
    assert "set-cookie" not in headers
    folder = place[0].folder
    assert all(file.parent == folder and file.suffix in (".wav", ".log") for file in folder.rglob("*"))
    if status == 200:
        assert len(json.loads(body)["name"]) <= 80


def test_names_are_cut_and_cleaned():
    assert shown("a\0b\x1b[31m\n") == "ab[31m"
    assert shown("\n") == "recording"
    assert len(shown("x" * 500)) == 80


def _claims(frames, channels=2, rate=48000):
    """A WAV that claims so much, and holds nothing."""
    size = frames * channels * 2
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        min(size + 36, 2**32 - 1),
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        rate * channels * 2 & 0xFFFFFFFF,
        channels * 2 & 0xFFFF,
        16,
        b"data",
        min(size, 2**32 - 1),
    )
    return head + bytes(4000)


def _broken(kind):
    data = bytearray(sound(1.0, kind=kind))
    rng = random.Random(kind)
    for _ in range(200):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


BAD = {
    "text": b"hello" * 100,
    "nothing": b"",
    "a script": b"#!/bin/sh\nrm -rf ~\n",
    "a head alone": sound()[:40],
    "no frames": sound(0.0, kind="WAV"),
    "NaN": b"",  # below
    "100 channels": sound(0.01, channels=100, kind="WAV"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_sound_is_refused_in_words_and_leaves_nothing(client, desk, place, what):
    data = BAD[what]
    if what == "NaN":
        file = io.BytesIO()
        soundfile.write(file, np.full(1000, np.nan), 48000, format="WAV", subtype="FLOAT")
        data = file.getvalue()
    count = len(desk.uploads)
    status, _, body = client.put("x.wav", data)
    assert status == 422
    assert json.loads(body)["error"]
    assert len(desk.uploads) == count
    assert not list(place[0].folder.glob("*.upload"))
    assert client.put("x.wav", sound())[0] == 200


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "WAV", "AIFF"])
def test_a_damaged_file_ends_at_most_its_decoder(client, kind):
    assert client.put("x", _broken(kind))[0] in (200, 422)
    assert client.put("x", _claims(2**30))[0] in (200, 422)
    assert client.put("x.wav", sound())[0] == 200


def test_more_than_may_come_is_not_taken(client, place):
    assert client.put("x", b"", Content_Length=str(MAX_BYTES + 1))[0] == 413
    for lie in ("-1", "1e3", "٣", "0x10"):
        raw = socket.create_connection((client.host, client.port), 5)
        head = f"PUT /upload HTTP/1.1\r\nHost: {client.netloc}\r\nAuthorization: Bearer {client.token}\r\n"
        raw.sendall((head + f"Content-Length: {lie}\r\n\r\n").encode())
        assert b" 4" in raw.recv(100)
    assert not list(place[0].folder.glob("*.upload"))


def test_a_sender_that_breaks_off_leaves_nothing(client, place):
    raw = socket.create_connection((client.host, client.port), 5)
    head = f"PUT /upload HTTP/1.1\r\nHost: {client.netloc}\r\nAuthorization: Bearer {client.token}\r\n"
    raw.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n" + bytes(1000))
    time.sleep(0.3)
    raw.close()
    time.sleep(0.5)
    assert not list(place[0].folder.glob("*.upload"))
    assert client.put("x.wav", sound())[0] == 200


def test_the_decoder_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_SAMPLES", 48000)
    (tmp_path / "x.flac").write_bytes(sound(2.0, channels=1))
    with pytest.raises(ValueError, match="longer than"):
        decoder.decode(tmp_path / "x.flac", tmp_path / "y.wav")


# --- what is sent by who knows better -------------------------------------------------------------


def _random_frame(rng):
    """A frame as nobody should send it: random JSON, random bytes, random kinds, or a real message bent."""
    kind = rng.random()
    if kind < 0.3:
        return frame(rng.randbytes(rng.randrange(200)), rng.choice((1, 2)))
    if kind < 0.6:
        return frame(json.dumps(_random_value(rng, 3)).encode())
    if kind < 0.9:
        text = bytearray(b'{"send": {"amount": 0.5, "compressor/ratio": 3}}')
        text[rng.randrange(len(text))] = rng.randrange(256)
        return frame(bytes(text))
    if kind < 0.95:
        return frame(rng.randbytes(rng.randrange(125)), 9)  # a ping
    if kind < 0.999:
        return frame(b'{"send": {"amount": ' + rng.choice((b"NaN", b"1e999", b"-1e999", b"[]", b"0.5")) + b"}}")
    return rng.choice(
        (
            frame(rng.randbytes(20), rng.choice((3, 5, 7, 11))),
            rng.randbytes(50),
            frame(bytes(MAX_MESSAGE + 1)),
            frame(b"", 8),
        )
    )


def _random_value(rng, depth):
    if depth and rng.random() < 0.5:
        keys = (
            "send",
            "amount",
            "token",
            "lock",
            "preset",
            "ask",
            "__proto__",
            "page",
            "number",
            rng.randbytes(3).hex(),
        )
        if rng.random() < 0.7:
            return {rng.choice(keys): _random_value(rng, depth - 1) for _ in range(rng.randrange(4))}
        return [_random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return rng.choice((None, True, 1e308, -0.0, 2**70, "", "../../x", "\ud800", rng.random()))


@pytest.mark.slow
def test_random_frames_end_nothing_and_change_only_what_they_may():
    rng, sent = random.Random(11), 0
    with served() as (page, desk):
        client, server = Client(page), page._process
        assert server
        watching = client.open()
        watching.until(lambda m, s: "welcome" in m)
        while sent < FRAMES:
            status, raw = client.shake()
            assert status == 101
            if rng.random() < 0.9:
                raw.sendall(frame(json.dumps({"token": client.token}).encode()))
            try:
                for _ in range(2000):
                    raw.sendall(b"".join(_random_frame(rng) for _ in range(50)))
                    sent += 50
                    if sent >= FRAMES:
                        break
            except OSError:  # it has closed, as it should after what is no frame
                pass
            raw.close()
            desk.heard.clear()
        assert page._process is server
        assert server.poll() is None
        watching.send({"ping": "still there"})
        watching.until(lambda m, s: m.get("echo") == "still there", 20.0)
        client.open().until(lambda m, s: "welcome" in m, 20.0)


def test_random_bytes_on_the_port_end_nothing(client):
    rng = random.Random(3)
    for _ in range(200):
        raw = socket.create_connection((client.host, client.port), 5)
        raw.sendall(rng.randbytes(rng.randrange(1, 3000)))
        raw.close()
    assert client.request("GET", "/")[0] == 200


def test_slow_senders_keep_nobody_out(client):
    slow = [socket.create_connection((client.host, client.port), 5) for _ in range(60)]
    for one in slow:
        one.sendall(b"GET / HTTP/1.1\r\nHo")
    assert client.request("GET", "/")[0] == 200
    for one in slow:
        one.close()


# --- life -----------------------------------------------------------------------------------------


def test_a_server_that_dies_is_replaced_under_the_same_link():
    with served() as (page, desk):
        client = Client(page)
        first = client.open()
        first.until(lambda m, s: "values" in s)
        desk.values["amount"] = 0.125
        assert page._process
        os.kill(page._process.pid, signal.SIGKILL)
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
        process, folder = page._process, page.folder
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


def test_a_desk_that_fails_is_no_end():
    class Failing(Desk):
        def wait(self, timeout_s):
            raise RuntimeError("no state")

    with served(Failing()) as (page, _):
        client = Client(page)
        client.open().until(lambda m, s: "welcome" in m)
