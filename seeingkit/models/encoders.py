"""From a name or a file to a loaded encoder that comes with a generator.

Guarantees: a file is recognised by its content, as a generator's is; an encoder is never used for a
generator that it cannot belong to, and where its file does not say to which one it belongs, that is
among the assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from seeingkit.contracts import Generator, ModelEncoder
from seeingkit.errors import (
    MissingWeightsError,
    PluginError,
    StateMismatchError,
    UsageError,
)
from seeingkit.specs import EncoderSpec

from .probe import put_info
from .recognition import claims_of, encoder_recognisers, weights_file
from .registry import Registry, check_options, registry
from .resolved import AUTO, ResolvedModel

_USE = "use the one that came with it"


def load_encoder(
    name: str = AUTO,
    *,
    weights: str | Path | None = None,
    generator: Generator | None = None,
    device: str | None = None,
    **options: object,
) -> ModelEncoder:
    """Load an encoder that comes with a generator: ``load_encoder(weights="netE.pth")``.

    Args:
        name: of a registered encoder (``seeingkit ls encoders``), or ``auto``: the one that
            recognises the file.
        weights: its file; for ``auto`` without a file, the one that came with ``generator``.
        generator: the one it is to be used with, which is then checked.
        device: default: the generator's, else the CPU.
        options: of the encoder, such as ``draw="sample", seed=3``.

    Raises:
        UnknownNameError, UsageError: no such encoder or option, or nothing to load.
        StateMismatchError: no registered encoder reads the file, or it belongs to another
            generator than this one.
        WeightsError: the file is missing, unsafe or damaged.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> load_encoder(generator=generator)
    Traceback (most recent call last):
    seeingkit.errors.UsageError: no encoder came with progan; give weights, the encoder's file
    """
    if name == AUTO and weights is None:
        own = None if generator is None else generator.own_encoder
        if own is None:
            whose = "" if generator is None else f" came with {generator.info.family}"
            raise UsageError(f"no encoder{whose or ' was named'}; give weights, the encoder's file")
        name, weights, options = own.name, own.weights, {**own.options, **options}
    resolved = _resolve(name, weights, options, generator)
    found = resolved.load(device or (str(generator.device) if generator is not None else "cpu"))
    if not isinstance(found, ModelEncoder):
        kind = type(found).__name__
        raise PluginError(f"{resolved.spec.name}: its target gave a {kind}, no ModelEncoder")
    if generator is not None:
        check_belongs(found, generator, resolved.weights)
    return found


def reads_encoder(path: str | Path) -> bool:
    """Whether a registered encoder recognises a file.

    Raises:
        WeightsError: it is missing, unsafe or damaged.

    >>> torch.save({"w": torch.ones(2)}, "netE.pth")
    >>> reads_encoder("netE.pth")
    False
    """
    from seeingkit.weights import read_checkpoint

    return bool(claims_of(read_checkpoint(path), encoder_recognisers(registry())))


def _resolve(
    name: str,
    weights: str | Path | None,
    options: Mapping[str, object],
    generator: Generator | None,
) -> ResolvedModel:
    """Family, file and validated options."""
    known = registry()
    path = None if weights is None else Path(weights)
    if path is not None and not path.exists():
        raise MissingWeightsError(f"{path}: no such encoder file; check --encoder")
    spec = _recognised(path, known) if name == AUTO else known.resolve("encoder", name)
    spec = cast("EncoderSpec", spec)
    if path is None and spec.needs_weights:
        raise MissingWeightsError(f"encoder {spec.name} needs weights: give its file")
    if generator is not None:
        _check_family(spec.generators, generator, path)
    given = dict(options)
    if generator is not None and "latent" in spec.options.model_fields:
        given.setdefault("latent", math.prod(generator.info.latent[0].shape))
    if generator is not None and "size" in spec.options.model_fields:
        given.setdefault("size", generator.info.resolution)
    return ResolvedModel(spec.name, spec, check_options(spec, given), path)


def _recognised(path: Path | None, known: Registry) -> EncoderSpec:
    """The encoder that reads a file.

    Raises:
        StateMismatchError: none, or several.
    """
    from seeingkit.weights import outline, read_checkpoint

    assert path is not None
    checkpoint, asked = read_checkpoint(weights_file(path)), encoder_recognisers(known)
    claims = claims_of(checkpoint, asked)
    if len(claims) != 1:
        names = ", ".join(spec.name for spec in asked) or "none is registered"
        fault = "no registered encoder reads this file with " + outline(checkpoint.content)
        if claims:
            fault = "several encoders read this file; name one"
            names = ", ".join(claim.spec.name for claim in claims)
        raise StateMismatchError(f"{path}: {fault} (asked: {names})")
    return cast("EncoderSpec", claims[0].spec)


def check_belongs(encoder: ModelEncoder, generator: Generator, path: Path | None = None) -> None:
    """Refuse an encoder of another generator; one that may be of another says so.

    What no file says becomes one of the encoder's assumptions.

    Args:
        path: of the encoder's file, for messages.

    >>> class Middle(ModelEncoder):
    ...     info = EncoderInfo(family="middle", size=1, latent=LatentSpec(shape=(3,)))
    ...     def posterior(self, inputs):
    ...         return Posterior(inputs.mean((2, 3)))
    >>> check_belongs(Middle(), seeingkit.load_generator("progan:minichurches"))
    Traceback (most recent call last):
    seeingkit.errors.StateMismatchError: the encoder gives a latent of shape (3,), and ...

    Raises:
        StateMismatchError: of another family, for another latent or other images, or trained
            together with another generator.
    """
    info, theirs = encoder.info, generator.info
    _check_family(info.generators, generator, path)
    place = f"{path}: " if path is not None else ""
    shapes = [tuple(part.shape) for part in theirs.latent]
    if shapes != [tuple(info.latent.shape)]:
        raise StateMismatchError(
            f"{place}the encoder gives a latent of shape {tuple(info.latent.shape)}, and "
            f"{theirs.family} takes {' and '.join(map(str, shapes))}; {_USE}"
        )
    belongs = encoder.belongs_to(generator)
    if belongs is False:
        raise StateMismatchError(
            f"{place}the encoder was trained together with another generator than this "
            f"{theirs.family} ({_short(theirs.weights_sha256)}); {_USE}"
        )
    said: tuple[str, ...] = ()
    if belongs is None:
        said = (f"it was trained together with this {theirs.family}: no file says so",)
    if info.size != theirs.resolution:
        said += (f"images of {theirs.resolution} pixels are resized to its {info.size}",)
    put_info(encoder, info.model_copy(update={"assumptions": (*info.assumptions, *said)}))


def _check_family(families: Sequence[str], generator: Generator, path: Path | None) -> None:
    if families and generator.info.family not in families:
        place = f"{path}: " if path is not None else ""
        raise StateMismatchError(
            f"{place}an encoder of {' or '.join(families)}, and the generator is "
            f"{generator.info.family}; {_USE}"
        )


def _short(sha256: Any) -> str:
    return f"weights {sha256[:12]}" if isinstance(sha256, str) else "of no file"
