"""Writes ``weights/shipped.json``: name, size and hash of every network that ships.

python -m seeingkit_plugins.digits.training.ship
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from seeingkit.system.cache import file_sha256
from seeingkit.system.writing import write_text

WEIGHTS = Path(__file__).parents[1] / "weights"


class Shipped(NamedTuple):
    """A file of the weights folder, and a name that it is known by."""

    file: str
    family: str
    kind: str
    name: str
    domains: tuple[str, ...]
    summary: str
    options: tuple[tuple[str, Any], ...] = ()


SHIPPED = (
    Shipped("healthy", "dcgan", "gan", "digits", ("digits",), "DCGAN that draws all ten digits"),
    Shipped(
        "collapsed",
        "dcgan",
        "gan",
        "digits-collapsed",
        ("digits",),
        "the same DCGAN against a weak discriminator: it draws three of the ten digits",
    ),
    Shipped(
        "auxiliary",
        "dcgan",
        "gan",
        "digits-acgan",
        ("digits",),
        "ACGAN: a DCGAN that is asked for a digit, by its product with an embedding",
        (("condition", "product"),),
    ),
    Shipped(
        "conditional",
        "mlp-gan",
        "gan",
        "digits-cgan",
        ("digits",),
        "cGAN: linear layers of z and the digit that is asked for",
        (("condition", "before"),),
    ),
    Shipped(
        "stacked",
        "dcgan",
        "gan",
        "stacked-digits",
        ("stacked-digits",),
        "DCGAN of three digits as the colours of one picture: it draws few of the 1,000 modes",
    ),
    Shipped(
        "packed",
        "dcgan",
        "gan",
        "stacked-digits-packed",
        ("stacked-digits",),
        "the same DCGAN, trained with pictures in pairs (PacGAN)",
    ),
    Shipped(
        "reader",
        "digit-reader",
        "annotator",
        "digits",
        ("digits",),
        "two convolutions, 98.8 % of 2,500 digits that it never saw",
    ),
    Shipped(
        "reader",
        "digit-reader",
        "annotator",
        "stacked-digits",
        ("stacked-digits",),
        "the same reader, on each colour",
        (("stacked", True),),
    ),
)


def main() -> None:
    """List every network whose file is there."""
    entries = []
    for shipped in SHIPPED:
        path = WEIGHTS / f"{shipped.file}.safetensors"
        if not path.exists():
            continue
        entry = shipped._asdict() | {"file": path.name, "domains": list(shipped.domains)}
        entry["options"] = dict(shipped.options)
        entries.append(entry | {"sha256": file_sha256(path), "size": path.stat().st_size})
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    write_text(WEIGHTS / "shipped.json", text + "\n")


if __name__ == "__main__":
    main()
