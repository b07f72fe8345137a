"""Numbers of a network that are no weights, on the device where they are needed.

Guarantees that a pass makes nothing on the CPU: a constant is sent to a device once and kept.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from seeingkit.errors import ModelError


@functools.lru_cache(maxsize=512)
def constant(
    values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(len(values),) on a device; not to be changed.

    >>> constant((0.5, 0.25), torch.device("cpu"))
    tensor([0.5000, 0.2500])
    """
    with torch.inference_mode(False):  # a tensor that is kept must be usable in training too
        return torch.tensor(values, dtype=dtype).to(device)


def numbers(values: tuple[int, ...], device: torch.device) -> Tensor:
    """As ``constant``, whole numbers (int64), such as an index.

    >>> numbers((3, 1), torch.device("cpu"))
    tensor([3, 1])
    """
    return constant(values, device, torch.int64)


def check_finite(values: Tensor, fault: str) -> None:
    """Refuse NaN and Inf. On a CUDA device, the device looks at them and nobody waits for it.

    Args:
        values: of a network.
        fault: what the error says.

    Raises:
        ModelError: there is one. Of values on a CUDA device, the next transfer raises instead, with
            the device's own error.

    >>> check_finite(torch.zeros(3), "the network gave NaN or Inf")
    """
    finite = torch.isfinite(values.detach()).all()
    if values.device.type == "cuda":
        torch._assert_async(finite, fault)
    elif not bool(finite):
        raise ModelError(fault)
