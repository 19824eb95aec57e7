"""The same work list on a Ray cluster, for more files than one machine can do: `pip install 'afx-live[cluster]'`."""

import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from .run import Told, Work, attempt, failure
from .work_list import Item

RETRIES = 3
"""An item whose worker died is tried again so often."""
STOPPING_S = 5.0
ANSWER_S = 5.0
"""Time for a cluster to answer."""


class ClusterError(ValueError):
    """No Ray, or no cluster at the address."""

    exit_code = 5


def run_on_ray(
    items: Sequence[Item], work: Work, address: str = "", failed: Told | None = None
) -> Generator[tuple[Item, dict[str, Any]], None, None]:
    """Do all items on a cluster, as `run` does here: address "" starts one on this machine, "auto" finds one.

    Every worker must see the same files under the same names. A worker that dies costs no item: it is done again
    elsewhere. Closing the iterator, or Ctrl-C, cancels what is under way. Raises ClusterError.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError:
        raise ClusterError("--ray needs Ray: pip install 'afx-live[cluster]'") from None
    told = failed or failure
    _check_there(address)
    begun = not ray.is_initialized()
    if begun:
        try:
            options: Any = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
            ray.init(address=address or None, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ClusterError(
                f"--ray {address}: {str(error).splitlines()[0]}; start one by `ray start --head`"
            ) from None
    waiting: dict[Any, Item] = {}
    try:
        render = ray.remote(max_retries=RETRIES, num_cpus=1)(attempt)
        shared = ray.put(work)
        here = Path.cwd()  # a worker is elsewhere
        waiting = {
            render.remote(shared, replace(item, source=here / item.source, target=here / item.target), told): item
            for item in items
        }
        while waiting:
            with redirect_stdout(sys.stderr):  # where Ray says that a worker died; standard output is for results
                (reference,), _ = ray.wait(list(waiting), num_returns=1)
            item = waiting.pop(reference)
            try:
                row = ray.get(reference)
            except RayError as error:
                row = told(RuntimeError(f"its worker died: {str(error).splitlines()[0]}"))
            yield item, row
    finally:
        for reference in waiting:  # none, unless it was stopped
            ray.cancel(reference)
        if waiting:
            ray.wait(list(waiting), num_returns=len(waiting), timeout=STOPPING_S)
        if begun:
            ray.shutdown()


def _check_there(address: str) -> None:
    """Raise ClusterError if nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"--ray {address}: no cluster answers there ({error}); start one by `ray start --head`"
        ) from None
