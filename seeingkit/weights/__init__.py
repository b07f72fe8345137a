"""The only door for weights files: tensors come in, and plain data, and nothing else.

``read_checkpoint`` reads safetensors, torch files (zip and old) and plain pickles with readers that
can build data only; ``state_dict`` takes the tensors out; ``fill`` checks and copies them into a
network; ``write_portable`` and ``portable_config`` are our own format. No option turns this off.

From the container inwards: ``checkpoints`` → ``torchfiles`` → the pickle machine (``machine``,
``opcodes``, ``reading``) and ``objects`` (what a global stands for); then ``states`` and
``portable``; ``wording`` for messages.
"""

from .checkpoints import Checkpoint, read_checkpoint
from .portable import portable_config, portable_family, write_portable
from .reading import Inert
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
from .wording import shown

__all__ = [
    "Checkpoint",
    "Inert",
    "WeightsFile",
    "check_claims",
    "check_finite",
    "check_state",
    "fill",
    "load_into",
    "portable_config",
    "portable_family",
    "read_checkpoint",
    "read_state_dict",
    "shown",
    "state_dict",
    "write_portable",
]
