"""Files of painted edits against a generator: checked, replayed to the same pixels, and made.

Guarantees: a file of another generator, layer, size or number of units is refused in one line,
before anything is computed; a mask is read only where its header promises the layer's own size.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import struct
from collections.abc import Sequence

import numpy as np
import safetensors
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Boundary, Generator, State
from seeingkit.errors import RunError, UsageError, printable
from seeingkit.results.edits import (
    PNG_URI,
    EditedGenerator,
    EditFile,
    LatentStart,
    PaintedEdit,
    PhotoStart,
)

from .edits import UnitEdit, run

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY = bytes((8, 0, 0, 0, 0))
"""The end of the header of an 8-bit grey PNG: depth, colours, compression, filter, interlace."""


def edited_generator(generator: Generator, name: str = "") -> EditedGenerator:
    """How files of edits name a generator.

    Args:
        generator: any.
        name: as it was asked for; default: its family.

    >>> edited_generator(seeingkit.load_generator("progan:minichurches")).family
    'progan'
    """
    known = {**generator.info.identity()}
    known.pop("code", None)  # files outlive versions of the adapter that draw the same images
    text = json.dumps(known, sort_keys=True, default=str)
    return EditedGenerator(
        name=name or generator.info.family,
        family=generator.info.family,
        weights_sha256=generator.info.weights_sha256,
        identity=hashlib.sha256(text.encode()).hexdigest(),
    )


def check_generator(wanted: EditedGenerator, generator: Generator, content: str = "edits") -> None:
    """Refuse a generator that a file is not of::

        check_generator(file.generator, generator)

    Args:
        wanted: that the file names.
        generator: that is there.
        content: of the file, a plural noun for the message.

    Raises:
        UsageError: names both.
    """
    own = edited_generator(generator)
    if own.identity == wanted.identity:
        return
    if (own.family, own.weights_sha256) == (wanted.family, wanted.weights_sha256):
        reason = "loaded with other options"
    else:
        reason = f"of family {printable(wanted.family)}, weights {_short(wanted.weights_sha256)}"
    raise UsageError(
        f"these are {content} of {printable(wanted.name)}, {reason}; this is {own.family}, weights "
        f"{_short(own.weights_sha256)}: name the generator with --gan and its options"
    )


def _short(sha256: str | None) -> str:
    return "of unknown hash" if sha256 is None else f"{sha256[:12]}…"


def to_edits(file: EditFile, generator: Generator) -> list[UnitEdit]:
    """The edits of a file, for ``run``.

    Args:
        file: as ``results.edits.parse_edits`` reads it.
        generator: that the edits are of.

    Raises:
        UsageError: another generator; units, values or a mask that the layer does not have.
        UnknownNameError: no such layer.
        RunError: a mask that is no grey PNG.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> mask = torch.zeros(8, 8); mask[7] = 1
    >>> edit = UnitEdit("r8.conv1", units=(3, 5), value=0.5, mask=mask)
    >>> file = edit_file(generator, LatentStart(index=2), [edit])
    >>> torch.equal(to_edits(file, generator)[0].mask, mask)
    True
    """
    check_generator(file.generator, generator)
    return [_to_edit(edit, generator, k) for k, edit in enumerate(file.edits)]


def _to_edit(edit: PaintedEdit, generator: Generator, number: int) -> UnitEdit:
    boundary, name = generator.boundary(edit.layer), f"edit {number}"
    if boundary.kind == "image" or not boundary.shape:
        raise UsageError(f"{name}: {boundary.name!r} has no units; name a layer between")
    units, channels = tuple(edit.units), boundary.shape[0]
    if max(units) >= channels:
        raise UsageError(
            f"{name}: no unit {max(units)} at {boundary.name!r}, whose last is {channels - 1}"
        )
    if len(set(units)) != len(units):
        raise UsageError(f"{name}: a unit is named twice")
    for field, given in (("value", edit.value), ("alpha", edit.alpha)):
        if isinstance(given, list) and len(given) != len(units):
            raise UsageError(f"{name}: {len(given)} numbers of {field} for {len(units)} units")
    mask = None if edit.mask is None else _mask(edit.mask, boundary, name)
    return UnitEdit(boundary.name, units, _numbers(edit.alpha), _numbers(edit.value), mask)


def _numbers(given: float | list[float]) -> float | Tensor:
    return torch.tensor(given, dtype=torch.float32) if isinstance(given, list) else given


def _mask(uri: str, boundary: Boundary, name: str) -> Tensor:
    if boundary.extent is None:
        raise UsageError(f"{name}: {boundary.name!r} has no map, so its mask is null")
    try:
        data = base64.b64decode(uri.removeprefix(PNG_URI), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RunError(f"{name}: its mask is no base64") from error
    height, width = boundary.extent
    if data[:8] != _PNG or data[12:16] != b"IHDR" or data[24:29] != _GREY:
        raise RunError(f"{name}: its mask is no PNG of 8 bits of grey")
    found = struct.unpack(">II", data[16:24])
    if found != (width, height):
        raise UsageError(
            f"{name}: its mask has {found[0]} x {found[1]} pixels; the map of {boundary.name!r} "
            f"has {width} x {height}"
        )
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            levels = np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise RunError(f"{name}: its mask is a damaged PNG ({printable(error)})") from error
    return torch.from_numpy(levels.copy()).float() / 255


def start_state(start: LatentStart | PhotoStart, generator: Generator) -> State:
    """Where edits begin: an image of the generator at ``input``, or an inverted photo at a layer.

    Raises:
        UsageError: a label missing or too many, a number beyond the images that a generator was
            given, or a state that does not fit it.
        RunError: a state that is no safetensors.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> start_state(LatentStart(index=2), generator).at
    'input'
    """
    labels = None if start.label is None else [start.label]
    if labels and not generator.info.class_names:
        raise UsageError(f"{generator.info.family} is not conditional; the start has a label")
    with torch.no_grad():
        if isinstance(start, LatentStart):
            generator.check_number(start.index, start.seed)
            latent = generator.latents([start.index], seed=start.seed, labels=labels)
            return generator.begin(latent)
        usual = generator.begin(generator.latents([0], labels=labels))
        usual = generator.advance(usual, start.layer)
    try:
        tensors = safetensors.torch.load(base64.b64decode(start.state, validate=True))
    except (binascii.Error, ValueError, safetensors.SafetensorError) as error:
        raise RunError("the state of the photo is no safetensors in base64") from error
    for name, wanted in (("x", usual.x), *usual.carry.items()):
        found = tensors.pop(name, None)
        if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise UsageError(f"the state of the photo has no {name!r} as {start.layer!r} has it")
        if found.is_floating_point() and not bool(torch.isfinite(found).all()):
            raise UsageError(f"the state of the photo has NaN or Inf in {name!r}")
        if name == "x":
            usual = usual.with_x(found.to(wanted.device))
        else:
            usual = State(usual.at, usual.x, {**usual.carry, name: found.to(wanted.device)})
    if tensors:
        raise UsageError(
            f"the state of the photo has {printable(min(tensors))!r}, which is not carried"
        )
    return usual


def replay(file: EditFile, generator: Generator) -> Tensor:
    """The edited image, (1, 3, R, R) in [-1, 1].

    Raises:
        UsageError, RunError: as ``to_edits`` and ``start_state``.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> file = edit_file(generator, LatentStart(index=2), [UnitEdit("r8.conv1", (112, 13))])
    >>> replay(file, generator).shape
    torch.Size([1, 3, 64, 64])
    """
    edits = to_edits(file, generator)
    state = start_state(file.start, generator)
    with torch.no_grad():
        return run(generator, state, edits=edits)[0].x


# --------------------------------------------------------------------------------- making of files


def edit_file(
    generator: Generator,
    start: LatentStart | PhotoStart,
    edits: Sequence[UnitEdit],
    name: str = "",
) -> EditFile:
    """A file of edits of one image; ``to_edits`` gives the same edits back.

    Args:
        generator: that is edited.
        start: the image.
        edits: with numbers for all images alike, and masks of 8 bits (multiples of 1/255).
        name: of the generator, for people.

    Raises:
        UsageError: values per image, or a mask that 8 bits do not hold.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> edit_file(generator, LatentStart(index=2), [UnitEdit("r8.conv1", (112, 13))]).edits[0].units
    [112, 13]
    """
    made = [painted_edit(edit) for edit in edits]
    return EditFile(generator=edited_generator(generator, name), start=start, edits=made)


def painted_edit(edit: UnitEdit, label: str = "") -> PaintedEdit:
    """An edit as a record.

    Raises:
        UsageError: as ``edit_file``.

    >>> painted_edit(UnitEdit("r8", units=(1, 2), value=torch.tensor([0.5, 0.25]))).value
    [0.5, 0.25]
    """
    return PaintedEdit(
        layer=edit.at,
        units=list(edit.units),
        value=_listed(edit.value),
        alpha=_listed(edit.alpha),
        mask=None if edit.mask is None else mask_uri(edit.mask),
        label=label,
    )


def _listed(given: float | Tensor) -> float | list[float]:
    if not isinstance(given, Tensor):
        return float(given)
    if given.ndim > 1:
        raise UsageError("a file of edits has one value for each unit, not one for each image")
    values: float | list[float] = given.detach().float().cpu().tolist()
    return values


def mask_uri(mask: Tensor) -> str:
    """A mask (H, W) in [0, 1] as a grey PNG in a data URI.

    Raises:
        UsageError: other axes, or values that are no multiples of 1/255.

    >>> mask_uri(torch.ones(2, 2)).startswith("data:image/png;base64,")
    True
    """
    levels = (mask.detach().float().cpu() * 255).round()
    fits = mask.ndim == 2 and bool(((levels >= 0) & (levels <= 255)).all())
    if not fits or not torch.equal(levels / 255, mask.detach().float().cpu()):
        raise UsageError("a mask of a file of edits is (H, W), its values multiples of 1/255")
    stream = io.BytesIO()
    Image.fromarray(levels.to(torch.uint8).numpy()).save(stream, "PNG")
    return PNG_URI + base64.b64encode(stream.getvalue()).decode()


def state_text(state: State) -> str:
    """A state of one image as ``PhotoStart.state`` holds it: safetensors in base64.

    Raises:
        UsageError: of several images.

    >>> len(state_text(State("r8", torch.zeros(1, 4, 8, 8)))) > 1024
    True
    """
    if len(state.x) != 1:
        raise UsageError(f"a file of edits is of one image, not of {len(state.x)}")
    tensors = {"x": state.x, **state.carry}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return base64.b64encode(safetensors.torch.save(plain)).decode()
