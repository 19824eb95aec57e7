"""Systems: everything that makes an input sound like a reference, behind one function from a pair to a result."""

from .registry import SYSTEMS, NotApplicable, system

__all__ = ["SYSTEMS", "NotApplicable", "system"]
