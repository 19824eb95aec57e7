"""Do the work of a batch by several processes; one that dies takes only its file with it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from ...files.writer import remove_parts
from .work_list import Item

Work = Callable[[Item], dict[str, Any]]
"""Renders one item and tells what it did: a row with `status` "done" or "left alone"; or raises."""
Told = Callable[[Exception], dict[str, Any]]
"""Makes a row of what a work raised."""
ORPHAN_S = 5.0
"""Time for a process to tidy up when the one that began it is gone."""


def cores() -> int:
    """Give the number of jobs if none is asked for: all cores but one."""
    return max(1, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 2) - 1)


def run(
    items: Sequence[Item], work: Work, jobs: int = 1, failed: Told | None = None
) -> Generator[tuple[Item, dict[str, Any]], None, None]:
    """Do all items, and give each with its row as soon as it is done. One item's error is its row; the rest goes on.

    work must be picklable for more than one job: processes are spawned, for compiled code's threads do not
    survive a fork. It should call `check_stopped` often: that ends it when the iterator is closed, or on Ctrl-C.
    failed: makes a row of an exception.
    """
    told = failed or failure
    if jobs == 1 or len(items) == 1:
        for item in items:
            yield item, attempt(work, item, told)
        return
    left = list(items)
    while left:
        dead = yield from _by_processes(left, work, min(jobs, len(left)), told)
        if not dead:
            return
        for item in dead:  # which of them killed its process? each alone tells
            left.remove(item)
            alone = [item]
            if (yield from _by_processes(alone, work, 1, told)):
                yield item, told(RuntimeError("its process died: out of memory, or killed"))


def _by_processes(
    left: list[Item], work: Work, jobs: int, told: Told
) -> Generator[tuple[Item, dict[str, Any]], None, list[Item]]:
    """Work through `left`, and take out of it what is done; returns what was under way when a process died."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(jobs, context, _begin, (work, told, stop))
    waiting: dict[Future[dict[str, Any]], Item] = {}
    processes = []
    try:
        for item in list(left):
            waiting[pool.submit(_do, item)] = item
            processes = processes or [child for child in multiprocessing.active_children() if child not in others]
            if len(waiting) < 2 * jobs:
                continue
            yield from _finished(waiting, left)
        while waiting:
            yield from _finished(waiting, left)
    except BrokenProcessPool:
        pool.shutdown(wait=True, cancel_futures=True)
        for item in waiting.values():
            for process in processes:
                remove_parts(item.target.parent, process.pid)
        return list(waiting.values())
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return []


def _finished(waiting: dict[Future[dict[str, Any]], Item], left: list[Item]) -> Iterator[tuple[Item, dict[str, Any]]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        row = future.result()
        item = waiting.pop(future)
        left.remove(item)
        yield item, row


def attempt(work: Work, item: Item, told: Told) -> dict[str, Any]:
    """Do an item here; give its row, whatever happens."""
    try:
        return work(item)
    except Exception as error:
        return told(error)


def failure(error: Exception) -> dict[str, Any]:
    """Make a row of an exception."""
    return {"status": "failed", "message": str(error) or repr(error)}


# --- in a process of the pool ---------------------------------------------------------------------


@dataclass
class _Job:
    """What this process does, if it is one of a pool's: given once, for a work may be large."""

    work: Work
    told: Told
    stop: Any
    orphan: bool = False


_jobs: list[_Job] = []


def _begin(work: Work, told: Told, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches a whole group; the parent says when to stop
    _jobs.append(_Job(work, told, stop))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    _jobs[0].orphan = True
    time.sleep(ORPHAN_S)
    os._exit(1)


def _do(item: Item) -> dict[str, Any]:
    check_stopped()
    return attempt(_jobs[0].work, item, _jobs[0].told)


def check_stopped() -> None:
    """Raise KeyboardInterrupt if this is a process of a pool whose work shall end."""
    if _jobs and (_jobs[0].orphan or _jobs[0].stop.is_set()):
        raise KeyboardInterrupt
