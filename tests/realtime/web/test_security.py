"""Who gets anything out of the page's server: nobody but its own page, opened by whoever has the link."""

import json
import socket
import struct
from pathlib import Path

import pytest

from support.page import Client, Socket, frame, served, sound

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
    return Socket(raw).receive()


@pytest.mark.slow
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


@pytest.mark.slow
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
