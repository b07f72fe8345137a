"""Reading weights files: tensors and plain data, and nothing else.

``read_checkpoint`` reads safetensors, torch files (zip and old) and plain pickles with readers that
can build data only; ``state_dict`` takes the tensors out; ``fill`` checks and copies them into a
network; ``write_portable`` and ``portable_config`` are our own format. No option turns this off::

    checkpoint = read_checkpoint("g.pth")
    tensors = state_dict(checkpoint, checkpoint.content)
    fill(network, tensors, checkpoint.path)  # built under torch.device("meta")

From the container inwards: ``checkpoints`` (detects the container) → ``torchfiles`` → ``opcodes``
(runs a pickle program) → ``unpickler`` (its stack and memo) → ``reader`` and ``records``;
``constructors``, with ``tensors`` and ``arrays``, is the list of allowed globals. Then ``wrappers``
(finds the networks in the tree), ``states`` and ``portable``; ``excerpts`` for messages.
"""

from .checkpoints import Checkpoint, check_safetensors, read_checkpoint
from .excerpts import shown
from .portable import portable_config, portable_family, write_portable
from .records import Opaque
from .states import (
    WeightsFile,
    check_claims,
    check_finite,
    check_state,
    fill,
    load_into,
    read_state_dict,
    state_dict,
)
from .wrappers import (
    Layout,
    Near,
    Network,
    choose_network,
    find_network,
    nearest,
    networks,
    networks_with,
    outline,
    parts,
)

Inert = Opaque
"""The older name of ``Opaque``, kept for third parties."""

__all__ = [
    "Checkpoint",
    "Inert",
    "Layout",
    "Near",
    "Network",
    "Opaque",
    "WeightsFile",
    "check_claims",
    "check_finite",
    "check_safetensors",
    "check_state",
    "choose_network",
    "fill",
    "find_network",
    "load_into",
    "nearest",
    "networks",
    "networks_with",
    "outline",
    "parts",
    "portable_config",
    "portable_family",
    "read_checkpoint",
    "read_state_dict",
    "shown",
    "state_dict",
    "write_portable",
]
