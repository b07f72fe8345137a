"""Names of the outputs of networks trained on CamVid, Cityscapes and PASCAL VOC.

Guarantees that label i is output i of the network. CamVid and Cityscapes have one more output than
labels here, the last, for pixels that their evaluation ignores; it never wins (see ``espnet``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources

from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import UsageError

_FILE = resources.files(__package__).joinpath("labels.toml")
_NAMES: dict[str, list[str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
CAMVID = tuple(_NAMES["camvid"])
CITYSCAPES = tuple(_NAMES["cityscapes"])
VOC = tuple(_NAMES["voc"])
_LEFT_OVER = 1  # outputs after the last label that never win
_KNOWN = {
    "camvid": (CAMVID, len(CAMVID) + _LEFT_OVER),
    "cityscapes": (CITYSCAPES, len(CITYSCAPES) + _LEFT_OVER),
    "voc": (VOC, len(VOC)),
}


def choose_vocabulary(name: str | None, outputs: int) -> tuple[str, Vocabulary]:
    """The labels of a network with so many outputs; output i is label i.

    Args:
        name: ``camvid``, ``cityscapes``, ``voc``, ``numbers``, or None to go by ``outputs`` (12, 20
            or 21, else ``numbers``: "class 0", "class 1" …).
        outputs: channels of the network's logits.

    Raises:
        UsageError: the vocabulary needs another number of outputs.
    """
    if name is None:
        name = next((key for key, (_, count) in _KNOWN.items() if count == outputs), "numbers")
    names: Sequence[str] = [f"class {i}" for i in range(outputs)]
    if name != "numbers":
        names, count = _KNOWN[name]
        if count != outputs:
            raise UsageError(
                f"vocabulary {name} needs {count} outputs, these weights have {outputs}; "
                "leave the option out or use vocabulary=numbers"
            )
    labels = tuple(Label(label) for label in names)
    return name, Vocabulary(labels, has_background=name == "voc")
