"""How far training had come when a snapshot was saved, as its file's name tells it."""

from __future__ import annotations

import re
from typing import NamedTuple

_WORDS = (
    # NVIDIA's networks, from Progressive GAN to StyleGAN3 and what descends from them.
    (re.compile(r"network-snapshot-(\d+)", re.I), "kimg"),
    (re.compile(r"kimg[-_=]?(\d+)", re.I), "kimg"),
    (re.compile(r"(\d+)[-_]?kimg", re.I), "kimg"),
    (re.compile(r"(?<![a-z])(?:step|iter|iteration)s?[-_=]?(\d+)", re.I), "steps"),
    (re.compile(r"(?<![a-z])epochs?[-_=]?(\d+)", re.I), "epochs"),
)
_MOST = 2**53  # what other programs can hold as a number without rounding


class Step(NamedTuple):
    """A point in a training.

    Attributes:
        value: images seen in thousands (``kimg``), steps or epochs.
        unit: which of these.
    """

    value: int
    unit: str


def step_of(name: str) -> Step | None:
    """The step that a file's name tells; None where it tells none.

    >>> step_of("network-snapshot-001000.pkl")
    Step(value=1000, unit='kimg')
    >>> step_of("epoch=3-step=1200.ckpt")
    Step(value=1200, unit='steps')
    >>> step_of("church.pkl") is None
    True
    """
    for word, unit in _WORDS:
        found = word.search(name)
        if found is not None and int(found[1][:20]) < _MOST:
            return Step(int(found[1]), unit)
    return None
