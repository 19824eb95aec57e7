"""Connections that lead to nothing are closed: they would take the places of those that the page needs."""

import asyncio
import time
from collections.abc import Set
from typing import Any

from starlette.datastructures import Headers
from uvicorn.protocols.http.h11_impl import H11Protocol

from .security import bearer, same_token

MAX_CONNECTIONS = 128
MAX_STRANGERS = 64
"""So many connections, of all, may be without a request that has the token; the oldest of more are closed."""
STRANGER_S = 10.0
"""One has so long for a request without the token: to send it, and to take its answer."""
SWEEP_S = 0.5


async def close_strangers(connections: Set[Any], token: str) -> None:
    """Close connections, for ever. `connections` are those of a `uvicorn.Server`; sockets of pages are let be."""
    since: dict[tuple[H11Protocol, int], float] = {}
    while True:
        await asyncio.sleep(SWEEP_S)
        now = time.monotonic()
        there = [(c, id(c.cycle)) for c in connections if isinstance(c, H11Protocol) and not _has_token(c, token)]
        since = {one: since.get(one, now) for one in there}
        oldest = sorted(there, key=since.__getitem__)
        for place, one in enumerate(oldest):
            if now - since[one] > STRANGER_S or place < len(oldest) - MAX_STRANGERS:
                one[0].transport.abort()


def _has_token(connection: H11Protocol, token: str) -> bool:
    """Tell whether a request with the token is under way."""
    cycle: Any = connection.cycle
    return bool(cycle) and not cycle.response_complete and same_token(bearer(Headers(scope=cycle.scope)), token)
