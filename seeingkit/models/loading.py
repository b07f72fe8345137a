"""From a name to a loaded generator, segmenter or perceptual features.

``seeingkit.models.resolved`` defines how a name is resolved; the loaders here do that and load.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seeingkit.errors import UsageError
from seeingkit.specs import DataSpec

from .registry import registry
from .resolved import AUTO, ResolvedModel, resolve, resolve_features

if TYPE_CHECKING:
    from seeingkit.contracts import Annotator, Features, Sampler, Segmenter


def load_generator(
    name: str = AUTO,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    domain: str | None = None,
    **options: object,
) -> Sampler:
    """Load a generator: ``load_generator("progan", weights="church.pth")``.

    Args:
        name: ``family``, ``family:weights``, a group of families, or ``auto``: the family that
            recognises the file.
        weights: a file, or a folder of files; beats registered weights.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.
        domain: data set whose weights are wanted when none are named.
        options: the family's options (``seeingkit ls gans`` lists them).

    >>> generator = load_generator("progan:minichurches")
    >>> generator(generator.latents([0, 1])).shape
    torch.Size([2, 3, 64, 64])
    """
    found = resolve("gan", name, weights=weights, domain=domain, options=options)
    return cast("Sampler", found.load(device))


def load_segmenter(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    domain: str | None = None,
    **options: object,
) -> Segmenter:
    """Load a segmenter: ``load_segmenter("espnetv2", weights="city.pth", size=(384, 384))``.

    >>> load_segmenter("upernet:minichurches").vocabulary.index("tree")
    3
    """
    found = resolve("segmenter", name, weights=weights, domain=domain, options=options)
    return cast("Segmenter", found.load(device))


def load_annotator(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    domain: str | None = None,
    **options: object,
) -> Annotator:
    """Load a segmenter, classifier or another annotator, with arguments as ``load_segmenter``.

    >>> load_annotator("digit-reader:digits").vocabulary.unit
    'class'
    """
    found = resolve("annotator", name, weights=weights, domain=domain, options=options)
    return cast("Annotator", found.load(device))


def load_features(
    name: str, *, weights: str | Path | None = None, device: str = "cpu", **options: object
) -> Features | None:
    """Load perceptual features: ``load_features("vgg16", layer="relu3_3")``.

    Args:
        name: ``family``, ``family:weights``, ``auto`` (the best whose weights are on this machine)
            or ``none``.
        weights: a file; beats registered weights.
        device: as in ``load_generator``.
        options: the family's options (``seeingkit ls features`` lists them).

    Returns:
        the features, whose ``info`` says which they are; None for ``none``, and for ``auto`` on a
        machine that has none.

    Raises:
        MissingWeightsError: a named family whose file is not here (says where to get it).
        CorruptFileError: a file that is not the registered one, for ``auto`` too.

    >>> load_features("efficientnet-lite0")(torch.zeros(2, 3, 64, 64))[0].shape
    torch.Size([2, ...])
    """
    found = resolve_features(name, weights=weights, options=options)
    return None if found is None else cast("Features", found.load(device))


def data_spec(name: str) -> DataSpec | None:
    """The registered data set of that name, if it is one; also ``name:reference`` of some."""
    found = registry().find("data", name)
    if isinstance(found, DataSpec):
        return found
    found = registry().find("data", name.partition(":")[0])
    return found if isinstance(found, DataSpec) and found.takes_reference else None


def trained_on(model: ResolvedModel | None) -> str:
    """The registered data set that a model's published weights were trained on, or ``""``.

    >>> trained_on(None)
    ''
    """
    spec = None if model is None else model.weights_spec
    domains = () if spec is None else spec.domains
    return next((domain for domain in domains if data_spec(domain) is not None), "")


def with_reference(spec: DataSpec, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a data set, and the reference that its name gives where it takes one.

    Raises:
        UsageError: a name without its reference.
    """
    if not spec.takes_reference:
        return dict(options)
    reference = name.partition(":")[2]
    if not reference:
        raise UsageError(f"{name}: say which, as {spec.name}:NAME ({spec.summary})")
    return {**options, "reference": reference}


def usual_generator(data: DataSpec | None, *, own_weights: bool = False) -> str:
    """The generator when nobody names one: of the user's file, else the data set's, else ours."""
    if own_weights:
        return AUTO
    return (data.gan if data is not None else None) or registry().default("gan")


def is_generator_name(name: str) -> bool:
    """Whether a name without its weights is a generator family, a group of them, or ``auto``."""
    family = name.partition(":")[0]
    return family == AUTO or registry().find("gan", family) is not None
