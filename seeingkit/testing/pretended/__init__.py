"""A pretended device: tensors say that they are on a GPU, and compute on the CPU.

Guarantees: what a GPU would refuse is refused (tensors of two devices in one operation, ``numpy()``
of a tensor on a device, a random generator of another device); every time that the host would wait
for the device, or send data there, is noted with its place in the code. Values are the CPU's to the
last bit, so code that looks at them goes its usual way, and gradients are computed.

``torch._subclasses.FakeTensorMode`` is not used, for two reasons: its tensors have no values, and
in a torch without CUDA the backward pass of one ends the process (``getDeviceGuardImpl``, in 2.13).

What it cannot see: kernels of CUDA that differ from the CPU's, or are missing there; memory; speed.
"""

from .device import PretendedDevice, pretended_device
from .tensors import DEVICE, PretendedTensor, Transfer

__all__ = ["DEVICE", "PretendedDevice", "PretendedTensor", "Transfer", "pretended_device"]
