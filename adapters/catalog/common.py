"""Options that every family has in the same meaning.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Latents = Annotated[Literal["seeds", "sequence"], Field(description="how z depends on the seed")]
Key = Annotated[
    str | None,
    Field(
        description="place of the network in a file of several, such as netG; None: the only one "
        "that fits, or of several the running average"
    ),
]
ClassNames = Annotated[
    str | None,
    Field(description="file of class names, one a line or a JSON list; None: 0, 1, 2, …"),
]
