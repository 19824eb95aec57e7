"""Runs: the pairs of a plan, answered by its systems and scored, as rows that say where they come from.

`evaluate.run` makes rows (with torch and Lightning), `gather` reads them (without).
"""

from .rows import gather

__all__ = ["gather"]
