"""What numpy arrays and torch tensors call differently, so that one formula serves both; torch is never loaded here.

Formulas of the live side are written once with these: numbers and arrays come back as numpy's, tensors as
tensors, differentiable.
"""

import sys
from typing import Any

import numpy as np


def is_tensor(x: Any) -> bool:
    """Tell whether x is a torch tensor, without loading torch: where there is a tensor, it is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def constant(values: Any, like: Any) -> Any:
    """Give numbers the kind of `like`: an array, or a tensor of its dtype and device."""
    return like.new_tensor(values) if is_tensor(like) else np.asarray(values)


def exp(x: Any) -> Any:
    """Raise e to x."""
    return x.exp() if is_tensor(x) else np.exp(x)


def log10(x: Any) -> Any:
    """Take the logarithm to base 10."""
    return x.log10() if is_tensor(x) else np.log10(x)


def tanh(x: Any) -> Any:
    """Take the hyperbolic tangent."""
    return x.tanh() if is_tensor(x) else np.tanh(x)


def at_least(x: Any, low: Any) -> Any:
    """Raise what is below `low` to it."""
    return x.clip(min=low) if is_tensor(x) else np.maximum(x, low)


def at_most(x: Any, high: Any) -> Any:
    """Lower what is above `high` to it."""
    return x.clip(max=high) if is_tensor(x) else np.minimum(x, high)
