"""From a name on the command line to a loaded generator, segmenter or perceptual features.

Names are ``family`` or ``family:weights``. Weights come from ``--weights`` if given, else from the
named weights, else from the family's best published weights for the data (if there is one domain to
go by), and the caller is told which. A group (``stylegan``) means the first of its families that
has such weights; ``auto``, like a group, takes the family that recognises the file given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from seeingkit.errors import (
    MissingWeightsError,
    PluginError,
    UnknownNameError,
    UsageError,
)
from seeingkit.specs import (
    DataSpec,
    FeaturesSpec,
    GanGroupSpec,
    GanSpec,
    SegmenterSpec,
    WeightsSpec,
)

from .hub import weights_path
from .recognition import recognise
from .registry import Registry, check_options, import_target, registry

if TYPE_CHECKING:
    from seeingkit.contracts import Features, Sampler, Segmenter

AUTO = "auto"
"""As the name of a generator: the family that recognises the file given as ``weights``."""

_FLAGS = {"gan": "weights", "segmenter": "segmenter-weights", "features": "perceptual-weights"}


@dataclass(frozen=True)
class Choice:
    """What a name came to, before anything heavy is imported.

    Attributes:
        name: ``family`` or ``family:weights``.
        spec: the family.
        weights: the file or folder, or None for models without weights.
        weights_spec: the registered weights, or None for a user's own file.
        options: all options, as given and as implied by the weights.
    """

    name: str
    spec: GanSpec | SegmenterSpec | FeaturesSpec
    weights: Path | None
    weights_spec: WeightsSpec | None
    options: dict[str, object]


def choose(
    kind: Literal["gan", "segmenter", "features"],
    name: str,
    *,
    weights: str | Path | None = None,
    domain: str | None = None,
    options: Mapping[str, object] | None = None,
    known: Registry | None = None,
    fetch: bool = True,
) -> Choice:
    """Decide family, weights and options; checks options and that the files are there.

    Args:
        fetch: whether published weights that are not on this machine are downloaded.

    Raises:
        UnknownNameError: no such family or weights.
        MissingWeightsError: the files are not here (the message says where to get them).
    """
    known = known or registry()
    options = dict(options or {})
    flag = _FLAGS[kind]
    if weights is not None and not Path(weights).exists():
        raise MissingWeightsError(f"{weights}: no such weights file or folder; check --{flag}")
    if kind == "gan":
        name = _single_family(name, weights, domain, known)
    family, _, tag = name.partition(":")
    spec = cast("GanSpec | SegmenterSpec | FeaturesSpec", known.resolve(kind, family))
    if isinstance(spec, GanSpec) and spec.takes_reference and tag:
        options["reference"] = tag
        check_options(spec, options)
        return Choice(name, spec, None if weights is None else Path(weights), None, options)
    if weights is not None:
        if tag:
            raise UsageError(f"{name} already names weights; give {spec.name} with --{flag} FILE")
        path = Path(weights)
        check_options(spec, options)
        return Choice(spec.name, spec, path, None, options)
    chosen: WeightsSpec | None = None
    if tag:
        own = [w.full_name for w in known.weights_for(spec.name)]
        try:
            chosen = cast("WeightsSpec", known.resolve("weights", f"{spec.name}:{tag}"))
        except UnknownNameError as error:
            raise UnknownNameError("weights", error.name, own, f"(or give --{flag} FILE)") from None
    elif spec.needs_weights:
        candidates = _candidates(kind, spec.name, domain, known)
        if not candidates:
            names = [w.full_name for w in known.weights_for(spec.name)]
            listed = f" (registered: {_listed(names)})" if names else ""
            for_domain = f" for {domain!r}" if domain else ""
            raise MissingWeightsError(
                f"{spec.name} has no registered weights{for_domain}{listed}; give --{flag} FILE"
            )
        chosen = candidates[0]
    merged = {**(chosen.options if chosen else {}), **options}
    check_options(spec, merged)
    where = weights_path(chosen, fetch=fetch) if chosen else None
    return Choice(chosen.full_name if chosen else spec.name, spec, where, chosen, merged)


def _candidates(
    kind: Literal["gan", "segmenter", "features"],
    family: str,
    domain: str | None,
    known: Registry,
) -> list[WeightsSpec]:
    """Registered weights that may stand for a family named alone, the best first.

    Those of the data's domain; for what looks at images also those of no domain in particular.
    Without a domain to go by, only what is the one choice there is.

    Raises:
        UsageError: no domain to go by, and several to choose from.
    """
    found = known.weights_for(family, domain) if domain else []
    every = known.weights_for(family)
    if not found and kind != "gan":
        found = [weights for weights in every if not weights.domains]
    if found or domain:
        return found
    if len(every) > 1:
        names = _listed([weights.full_name for weights in every])
        raise UsageError(
            f"{family} has several registered weights and no data set says which: name one "
            f"({names}) or give --{_FLAGS[kind]} FILE"
        )
    return every


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def _single_family(
    name: str, weights: str | Path | None, domain: str | None, known: Registry
) -> str:
    """``auto`` and groups come down to one family, or ``family:weights``."""
    family, _, tag = name.partition(":")
    group: GanGroupSpec | None = None
    if family != AUTO:
        found = known.resolve("gan", family)
        if not isinstance(found, GanGroupSpec):
            return name
        group = found
    if weights is not None:
        if tag:
            raise UsageError(f"{name} already names weights; give {family} with --weights FILE")
        families = None if group is None else group.families
        return recognise(Path(weights), known, families, name=family).spec.name
    if group is None:
        raise UsageError("auto finds the family of a file: give --weights FILE, or name a family")
    for member in group.families:
        candidates = [] if tag else _candidates("gan", member, domain, known)
        if tag:
            candidates = [w for w in known.weights_for(member) if tag in (w.name, *w.aliases)]
        if candidates:
            return candidates[0].full_name
    if tag:
        names = [w.name for member in group.families for w in known.weights_for(member)]
        raise UnknownNameError(f"weights of {family}", tag, names)
    for_domain = f" for {domain!r}" if domain else ""
    raise MissingWeightsError(
        f"none of {', '.join(group.families)} has registered weights{for_domain}; "
        "give --weights FILE"
    )


def usual_generator(data: DataSpec | None, *, own_weights: bool = False) -> str:
    """The generator when nobody names one: that of the user's file, else the data set's, else ours.

    Args:
        data: the data set, if it is a registered one.
        own_weights: the user gave a weights file.
    """
    if own_weights:
        return AUTO
    return (data.gan if data is not None else None) or registry().default("gan")


def is_generator_name(name: str) -> bool:
    """Whether a name without its weights is a generator family, a group of them, or ``auto``."""
    family = name.partition(":")[0]
    if family == AUTO:
        return True
    try:
        registry().resolve("gan", family)
    except UnknownNameError:
        return False
    return True


def load_choice(choice: Choice, device: str = "cpu") -> Any:
    """The model that a choice stands for, on a device."""
    from seeingkit.system.devices import resolve_device

    resolved = resolve_device(device)
    target = import_target(choice.spec)
    model = target(choice.weights, check_options(choice.spec, choice.options))
    if not hasattr(model, "info"):
        raise PluginError(f"{choice.spec.target} returned a {type(model).__name__}, not a model")
    return model.to(resolved)


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
    choice = choose("gan", name, weights=weights, domain=domain, options=options)
    return cast("Sampler", load_choice(choice, device))


def load_segmenter(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    domain: str | None = None,
    **options: object,
) -> Segmenter:
    """Load a segmenter: ``load_segmenter("espnetv2", weights="city.pth", size=(384, 384))``."""
    choice = choose("segmenter", name, weights=weights, domain=domain, options=options)
    return cast("Segmenter", load_choice(choice, device))


def choose_features(
    name: str,
    *,
    weights: str | Path | None = None,
    options: Mapping[str, object] | None = None,
    known: Registry | None = None,
) -> Choice | None:
    """Like ``choose`` for perceptual features, with two reserved words.

    ``none`` is None. ``auto`` is the first, in the order of ``FeaturesSpec.rank``, whose weights
    are on this machine, and None if there is no such; weights that are there and are wrong are an
    error, as they are for a family that was named.

    Raises:
        UsageError: weights or options for ``none`` or ``auto``; otherwise as ``choose``.
    """
    if name not in ("none", "auto"):
        return choose("features", name, weights=weights, options=options, known=known)
    if weights is not None or options:
        given = f"--{_FLAGS['features']}" if weights is not None else "options"
        raise UsageError(f"{name!r} takes no {given}; name the perceptual features they are for")
    if name == "none":
        return None
    known = known or registry()
    specs = cast("list[FeaturesSpec]", known.specs("features"))
    for spec in sorted(specs, key=lambda s: (s.rank, s.name)):
        published = [w.full_name for w in known.weights_for(spec.name)]
        for candidate in published if spec.needs_weights else [spec.name]:
            try:
                return choose("features", candidate, known=known, fetch=False)
            except MissingWeightsError:
                continue
    return None


def load_features(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    **options: object,
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
    """
    choice = choose_features(name, weights=weights, options=options)
    return None if choice is None else cast("Features", load_choice(choice, device))


def data_spec(name: str) -> DataSpec | None:
    """The registered data set of that name, if it is one."""
    try:
        found = registry().resolve("data", name)
    except UnknownNameError:
        return None
    return found if isinstance(found, DataSpec) else None
