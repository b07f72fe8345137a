"""Bodies of the page's requests: their forms and limits.

Guarantees: a mask has exactly the size of an image and is refused by its header otherwise; no field
is a path, but for the plain name of a file to save.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from seeingkit.analyses.rewriting.draft import LAST_IMAGE, Kind
from seeingkit.analyses.rewriting.regions import Region
from seeingkit.analyses.rewriting.requestfiles import mask_of
from seeingkit.errors import RunError, UsageError, first_fault

LONGEST_BODY = 16_000_000
"""Bytes of a request."""
MOST_IMAGES = 48
"""Images of one answer."""

Index = Annotated[int, Field(ge=0, le=LAST_IMAGE)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """A request; further fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Paint(Body):
    """A region that was painted; ``number``: of the context that it replaces."""

    action: Literal["paint"]
    kind: Kind
    index: Index
    mask: str
    number: Annotated[int, Field(ge=0)] | None = None


class Remove(Body):
    """A region that is taken out; ``number``: of a context."""

    action: Literal["remove"]
    kind: Kind
    number: Annotated[int, Field(ge=0)] = 0


class Execute(Body):
    """An edit of the request."""

    action: Literal["execute"]
    site: Name
    rank: Annotated[int, Field(ge=1)] | None = None
    keep: Finite | None = None
    protect: bool = True


class Strength(Body):
    """Another strength of the last edit."""

    action: Literal["strength"]
    value: Finite


class Step(Body):
    """A step without settings."""

    action: Literal["undo", "redo", "clear"]


class Load(Body):
    """The text of a request's file."""

    action: Literal["load"]
    text: str


class Save(Body):
    """Edits and request as files of this name, in the folder that was given at the start."""

    action: Literal["save"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$")]


Action = Annotated[
    Paint | Remove | Execute | Strength | Step | Load | Save, Field(discriminator="action")
]


class Search(Body):
    """A search of matching images, by the keys of a site."""

    site: Name
    kind: Literal["copy", "context"] = "context"


class Change(Body):
    """Units of a layer set to a value in some images.

    Attributes:
        value: None: the means that the units have in the copied region.
        mask: where, in the image; None: everywhere.
    """

    layer: Name
    units: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=65_536)]
    value: Finite | None = 0.0
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    mask: str | None = None
    indices: Annotated[list[Index], Field(min_length=1, max_length=MOST_IMAGES)]


_ACTION: TypeAdapter[Paint | Remove | Execute | Strength | Step | Load | Save] = TypeAdapter(Action)


def parsed_action(body: bytes) -> Paint | Remove | Execute | Strength | Step | Load | Save:
    """The action that a body asks for.

    Raises:
        RunError: something else, in one line.

    >>> parsed_action(b'{"action": "strength", "value": 0.5}').value
    0.5
    """
    try:
        return _ACTION.validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error


def parsed_search(body: bytes) -> Search:
    """The search that a body asks for; raises as ``parsed_action``.

    >>> parsed_search(b'{"site": "r16.conv1"}').kind
    'context'
    """
    try:
        return Search.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error


def parsed_change(body: bytes) -> Change:
    """The change of units that a body asks for; raises as ``parsed_action``.

    >>> parsed_change(b'{"layer": "r8", "units": [3], "indices": [0]}').value
    0.0
    """
    try:
        return Change.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error


def _refused(error: ValidationError) -> RunError:
    fault = first_fault(error)
    where = f"{fault.where}: " if fault.where else ""
    return RunError(f"the page sent no request that is known here: {where}{fault.reason}")


def region_of(index: int, uri: str, size: int) -> Region:
    """A region that was painted on an image of ``size`` pixels a side.

    Raises:
        RunError: a mask that is no PNG, or of another size.
        UsageError: an empty one.

    ``region_of(3, "data:image/png;base64,…", 64).area((16, 16))``
    """
    try:
        mask = mask_of(uri, size * size)
    except ValueError as error:
        raise RunError(f"the painted region cannot be read: {error}") from error
    if mask.shape != (size, size):
        found = f"{mask.shape[1]} x {mask.shape[0]}"
        raise RunError(f"the painted region has {found} pixels, an image has {size} x {size}")
    if not np.any(mask):
        raise UsageError(f"the region of image {index} is empty: paint it first")
    return Region(index, mask)
