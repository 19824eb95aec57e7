"""Files by the thousand: what is to be done, by how many processes or machines, and what was done already.

`work_list` pairs inputs with outputs, `distinct` sees to it that nothing is written over something else that the
command reads or writes, `Manifest` remembers a line for each file, `run` does the work here, `run_on_ray` on a cluster.
"""

from .distinct import Named, check_distinct
from .manifest import Manifest
from .run import check_stopped, cores, run
from .work_list import Item, work_list

__all__ = ["Item", "Manifest", "Named", "check_distinct", "check_stopped", "cores", "run", "work_list"]
