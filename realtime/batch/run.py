"""Do the work of a batch by several processes; one that dies takes only its file with it."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from .work_list import Item

Work = Callable[[Item], dict[str, Any]]
"""Renders one item and tells what it did: a row with `status` "done" or "left alone"; or raises."""


def cores() -> int:
    """Give the number of jobs if none is asked for: all cores but one."""
    return max(1, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 2) - 1)


def run(
    items: Sequence[Item], work: Work, jobs: int = 1, failed: Callable[[Exception], dict[str, Any]] | None = None
) -> Iterator[tuple[Item, dict[str, Any]]]:
    """Do all items, and give each with its row as soon as it is done. One item's error is its row; the rest goes on.

    work must be picklable for more than one job: processes are spawned, for compiled code's threads do not
    survive a fork. failed: makes a row of an exception.
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
            rows = list(_alone(item, work, told))
            left.remove(item)
            yield from rows


def _by_processes(
    left: list[Item], work: Work, jobs: int, told: Callable[[Exception], dict[str, Any]]
) -> Iterator[tuple[Item, dict[str, Any]]]:
    """Work through `left`, and take out of it what is done; returns what was under way when a process died."""
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    waiting: dict[Future[dict[str, Any]], Item] = {}
    queue = iter(list(left))
    try:
        for item in queue:
            waiting[pool.submit(attempt, work, item, told)] = item
            if len(waiting) < 2 * jobs:
                continue
            yield from _finished(waiting, left)
        while waiting:
            yield from _finished(waiting, left)
    except BrokenProcessPool:
        return list(waiting.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return []


def _finished(waiting: dict[Future[dict[str, Any]], Item], left: list[Item]) -> Iterator[tuple[Item, dict[str, Any]]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        row = future.result()
        item = waiting.pop(future)
        left.remove(item)
        yield item, row


def _alone(
    item: Item, work: Work, told: Callable[[Exception], dict[str, Any]]
) -> Iterator[tuple[Item, dict[str, Any]]]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield item, pool.submit(attempt, work, item, told).result()
        except BrokenProcessPool:
            yield item, told(RuntimeError("its process died: out of memory, or killed"))


def attempt(work: Work, item: Item, told: Callable[[Exception], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work(item)
    except Exception as error:
        return told(error)


def failure(error: Exception) -> dict[str, Any]:
    return {"status": "failed", "why": str(error) or repr(error)}
