"""Files by the thousand: what is to be done, by how many processes or machines, and what was done already.

`work_list` pairs inputs with outputs, `Manifest` remembers a line for each file, `run` does the work here,
`run_on_ray` on a cluster.
"""

from .manifest import Manifest
from .run import check_stopped, cores, run
from .work_list import Item, work_list

__all__ = ["Item", "Manifest", "check_stopped", "cores", "run", "work_list"]
