"""Detects a checkpoint's family from its content (never from its file name).

Guarantees: at most one family is named; a file that none or several claim is refused, with what it
holds or who claims it. Programs (families without a recogniser) are never named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.specs import EncoderSpec, GanSpec, SegmenterSpec

from .registry import Registry, import_named

if TYPE_CHECKING:
    from seeingkit.weights import Checkpoint

_FOLDER_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".pkl", ".model", ".ckpt", ".tar")


ModelFamily = GanSpec | SegmenterSpec | EncoderSpec


class Recognised(NamedTuple):
    """The family that reads a file, and the name of the layout it was found to have."""

    spec: ModelFamily
    layout: str


def recognise(
    path: Path, known: Registry, families: Iterable[str] | None = None, *, name: str = "auto"
) -> Recognised:
    """The family that reads a file, or the one weights file of a folder.

    Args:
        families: only these; default all that can recognise files.
        name: the user's name of it, for messages.

    Raises:
        WeightsError: the file is missing, unsafe or damaged; or none or several families claim it.
    """
    from seeingkit.weights import outline, read_checkpoint

    checkpoint = read_checkpoint(weights_file(path))
    asked = [s for s in recognisers(known) if families is None or s.name in families]
    claims = claims_of(checkpoint, asked)
    if len(claims) == 1:
        return claims[0]
    if claims:
        listed = " and ".join(claim.spec.name for claim in claims)
        raise StateMismatchError(f"{path}: {listed} both read this file; name one with --gan")
    others = "" if families is None else f" of {name}"
    raise StateMismatchError(
        f"{path}: no family{others} reads this {checkpoint.container} file with "
        f"{outline(checkpoint.content)}; {_why_not(checkpoint, asked, known)}"
    )


def _why_not(checkpoint: Checkpoint, asked: Sequence[GanSpec], known: Registry) -> str:
    """Who else reads a file, or what is nearest to reading it, or who was asked."""
    if (reader := other_reader(checkpoint, known, asked)) is not None:
        return reader
    if (near := nearest_family(checkpoint, asked)) is not None:
        return near
    return f"asked: {', '.join(spec.name for spec in asked)}"


def nearest_family(checkpoint: Checkpoint, asked: Iterable[GanSpec]) -> str | None:
    """The family that comes nearest to reading a file, and why it does not, in words."""
    reasons = [
        (near.share, spec.name, near.reason)
        for spec in asked
        if spec.explain and (near := import_named(spec, spec.explain)(checkpoint)) is not None
    ]
    if not reasons:
        return None
    _, name, reason = max(reasons, key=lambda found: found[0])
    return f"nearest is {name}: {reason}"


def other_reader(checkpoint: Checkpoint, known: Registry, but: Iterable[ModelFamily]) -> str | None:
    """In words: the families that read a file and are not among ``but``; None if there is none."""
    mine = {(type(spec), spec.name) for spec in but}
    every: list[ModelFamily] = [
        *recognisers(known),
        *_segmenters(known),
        *encoder_recognisers(known),
    ]
    claims = claims_of(checkpoint, [s for s in every if (type(s), s.name) not in mine])
    if not claims:
        return None
    kinds = {SegmenterSpec: "the segmenter ", EncoderSpec: "the encoder ", GanSpec: ""}
    listed = " or ".join(f"{kinds[type(claim.spec)]}{claim.spec.name}" for claim in claims)
    found = f"this file is read by {listed} ({claims[0].layout})"
    if all(isinstance(claim.spec, EncoderSpec) for claim in claims):
        return f"{found}; give it with --encoder, beside the file of its generator"
    return found


def recognisers(known: Registry) -> list[GanSpec]:
    """The generator families that can recognise a file."""
    return [s for s in known.specs("gan") if isinstance(s, GanSpec) and s.recognise]


def encoder_recognisers(known: Registry) -> list[EncoderSpec]:
    """The families of encoders that can recognise a file."""
    return [s for s in known.specs("encoder") if isinstance(s, EncoderSpec) and s.recognise]


def _segmenters(known: Registry) -> list[SegmenterSpec]:
    return [s for s in known.specs("segmenter") if isinstance(s, SegmenterSpec) and s.recognise]


def claims_of(checkpoint: Checkpoint, specs: Iterable[ModelFamily]) -> list[Recognised]:
    """Every family that claims a file; a file of our own format belongs to the one it names."""
    from seeingkit.weights import portable_family

    specs = list(specs)
    ours = portable_family(checkpoint)
    if ours is not None:  # which holds a network, and an encoder only where that is one, too
        mine = [
            s
            for s in specs
            if s.name == ours
            and (
                not isinstance(s, EncoderSpec)
                or import_named(s, cast("str", s.recognise))(checkpoint) is not None
            )
        ]
        return [Recognised(spec, "seeingkit safetensors") for spec in mine]
    layouts = [(s, import_named(s, cast("str", s.recognise))(checkpoint)) for s in specs]
    return [Recognised(spec, layout) for spec, layout in layouts if layout is not None]


def weights_file(path: Path) -> Path:
    """The file itself, or the one weights file of a folder.

    Raises:
        MissingWeightsError: nothing there, or a folder with none or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in _FOLDER_SUFFIXES)
    if len(found) != 1:
        what = ", ".join(file.name for file in found[:4]) or "none"
        holds = f"a folder with {len(found)} weights files ({what})"
        raise MissingWeightsError(
            f"{path}: {holds}; give one of them, or name the family with --gan"
        )
    return found[0]
