"""Who may talk to the page's server: nobody but its own page, opened by whoever has the link.

A page on any web site can send requests to 127.0.0.1 and open sockets there, and a name that its owner
points to 127.0.0.1 (DNS rebinding) makes it look like the same origin. So every request and every socket
must name an address of ours as its `Host`, an `Origin` can only be our own, and all but the static files
need the token, which is in the fragment of the link: browsers never send it anywhere by themselves.
"""

import hmac
import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "[::1]", "localhost")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""What every answer says."""
SAME = (None, "same-origin", "none")
"""What browsers may say of where a request comes from: `none` is a link that somebody typed."""


def same_token(given: object, token: str) -> bool:
    """Compare a token in a time that does not tell how much of it is right."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), token.encode())


def bearer(headers: Headers) -> str:
    """Give the token that a request brings along."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token if kind == "Bearer" else ""


class SameOrigin:
    """Let only requests and sockets pass that were made to us, by our own page.

    `names` are host names beside the loop-back's that mean this server. An address that the network
    reaches may be named if the connection has come in there.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in (*LOOPBACK, *names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        status, why = self._refusal(scope)
        if scope["type"] == "websocket":
            if status:
                return await send({"type": "websocket.close", "code": 1008, "reason": why})
            return await self._app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message["headers"] = [h for h in message.get("headers", []) if h[0].decode() not in HEADERS] + ours
            await send(message)

        if status:
            await PlainTextResponse(why + "\n", status)(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        """Give the status and the words of a refusal; 0 for what may pass."""
        hosts = [value for key, value in scope["headers"] if key == b"host"]
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if len(hosts) != 1 or not self._is_ours(host, scope.get("server")):
            return 421, "this is not the server of that host"
        origins = headers.getlist("origin")
        if len(origins) > 1 or (origins and origins[0].lower() != f"http://{host}"):
            return 403, "another page may not do this"
        if headers.get("sec-fetch-site") not in SAME:
            return 403, "another site may not do this"
        return 0, ""

    def _is_ours(self, host: str, server: tuple[str, int | None] | None) -> bool:
        if server is None:
            return False
        address, port = server
        name, colon, number = host.rpartition(":")
        if not colon or host.endswith("]"):  # no port: that of the scheme
            name, number = host, "80"
        if number != str(port):
            return False
        return name in self._names or _same_address(name, address)


def _same_address(name: str, address: str) -> bool:
    """Tell whether a host's name is the literal address that a connection has come in at."""
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")) == ipaddress.ip_address(address)
    except ValueError:
        return False
