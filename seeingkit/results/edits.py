"""The record of edits that were painted: a JSON file that any machine replays to the same pixels.

Masks are 8-bit grey PNG of the layer's map size in data URIs: a byte over 255 is the strength.
Numbers are float32, which JSON holds exactly. Nothing in a file is a name of code or of another
file. The record checks form and size; ``seeingkit.models.editfiles`` checks it against a generator.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator

from seeingkit.errors import RunError, all_faults, printable

from .records import Record

EDITS_VERSION: Final = 1
LONGEST_FILE = 64_000_000
"""Characters of a file of edits; a longer one is refused unread."""
LONGEST_MASK = 2_000_000
"""Characters of a mask: 1,024 x 1,024 cells without any compression are 1.4 million."""
LONGEST_STATE = 48_000_000
MOST_EDITS = 10_000
MOST_UNITS = 65_536
PNG_URI = "data:image/png;base64,"
FLOAT32_MAX = 3.4028234663852886e38

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Unit = Annotated[int, Field(ge=0, lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
Strength = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class EditedGenerator(Record):
    """Which generator edits are of.

    Attributes:
        name: as it was asked for, for people.
        family, weights_sha256: of its loaded model.
        identity: SHA-256 of all that changes its images: family, weights, options, latents.
    """

    name: Annotated[str, Field(max_length=1000)]
    family: Name
    weights_sha256: Sha256 | None = None
    identity: Sha256


class LatentStart(Record):
    """An image of the generator: number ``index`` of the series ``seed``.

    Attributes:
        label: class of a conditional generator.
    """

    kind: Literal["latent"] = "latent"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    index: Annotated[int, Field(ge=0, lt=2**32)]
    label: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class PhotoStart(Record):
    """An inverted photo. The state at the layer is in the file, so nothing is inverted again.

    Attributes:
        photo_sha256: of the photo's file.
        layer: boundary that the state is at.
        method, cut, psnr: how it was inverted, where, and how close the image came, in dB.
        label: class of a conditional generator.
        state: safetensors in base64: ``x`` and what is carried, for one image.
    """

    kind: Literal["photo"] = "photo"
    photo_sha256: Sha256
    layer: Name
    method: Name
    cut: Name
    psnr: Annotated[float, Field(allow_inf_nan=False)]
    label: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    state: Annotated[str, Field(max_length=LONGEST_STATE)]


class PaintedEdit(Record):
    """Units of a layer blended towards values: ``seeingkit.UnitEdit`` as a record.

    Attributes:
        layer: name of the boundary.
        units: channel numbers.
        value: one number, or one for each unit.
        alpha: strength in [0, 1], one or one for each unit.
        mask: grey PNG of the layer's map size as a data URI; None: everywhere.
        label: name of the brush, for people.
    """

    layer: Name
    units: Annotated[list[Unit], Field(min_length=1, max_length=MOST_UNITS)]
    value: Number | Annotated[list[Number], Field(max_length=MOST_UNITS)] = 0.0
    alpha: Strength | Annotated[list[Strength], Field(max_length=MOST_UNITS)] = 1.0
    mask: Annotated[str, Field(max_length=LONGEST_MASK)] | None = None
    label: Annotated[str, Field(max_length=200)] = ""

    @field_validator("mask")
    @classmethod
    def _is_png(cls, mask: str | None) -> str | None:
        if mask is not None and not mask.startswith(PNG_URI):
            raise ValueError(f"a mask begins with {PNG_URI}")
        return mask


class EditFile(Record):
    """Edits of one image, in the order in which they apply.

    >>> generator = EditedGenerator(name="mygan", family="mygan", identity=64 * "0")
    >>> edit = PaintedEdit(layer="r8", units=[3, 5])
    >>> EditFile(generator=generator, start=LatentStart(index=2), edits=[edit]).start.seed
    0
    """

    kind: Literal["edits"] = "edits"
    version: Literal[1] = EDITS_VERSION
    generator: EditedGenerator
    start: Annotated[LatentStart | PhotoStart, Field(discriminator="kind")]
    edits: Annotated[list[PaintedEdit], Field(max_length=MOST_EDITS)]


def parse_edits(text: str, name: str = "edits") -> EditFile:
    """A file of edits from its text.

    Args:
        text: JSON.
        name: of the file, for messages.

    Raises:
        RunError: too long, no JSON, or not a record of edits; names the field and its fault.

    >>> parse_edits("[]", "edits.json")
    Traceback (most recent call last):
    seeingkit.errors.RunError: edits.json is no file of edits: input should be an object
    """
    shown = printable(name)
    if len(text) > LONGEST_FILE:
        raise RunError(f"{shown}: {len(text):,} characters; a file of edits has {LONGEST_FILE:,}")
    try:
        return EditFile.model_validate_json(text)
    except ValidationError as error:
        first = all_faults(error)[0]
        where = f"{first.where}: " if first.where else ""
        raise RunError(f"{shown} is no file of edits: {where}{first.reason}") from error
    except RecursionError as error:
        raise RunError(f"{shown} is no file of edits: too deeply nested") from error


def edits_json(edits: EditFile) -> str:
    """The text of a file of edits.

    >>> generator = EditedGenerator(name="mygan", family="mygan", identity=64 * "0")
    >>> made = EditFile(generator=generator, start=LatentStart(index=2), edits=[])
    >>> parse_edits(edits_json(made)) == made
    True
    """
    return edits.model_dump_json() + "\n"
