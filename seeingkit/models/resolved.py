"""From a name to a ``ResolvedModel``: family, weights and validated options, nothing loaded yet.

Names are ``family`` or ``family:weights``. Weights come from the file given, else from the named
weights, else from the family's best published weights for the data set (if there is one to go by).
A group (``stylegan``) means the first of its families that has such weights; ``auto``, like a
group, takes the family that recognises the file given. Nothing here imports torch, but recognition.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel

from seeingkit.errors import (
    MissingWeightsError,
    PluginError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
    WeightsError,
    printable,
)
from seeingkit.results import ModelRecord
from seeingkit.specs import (
    AnnotatorSpec,
    EncoderSpec,
    ExecutorSpec,
    FeaturesSpec,
    GanGroupSpec,
    GanSpec,
    MetricSpec,
    SegmenterSpec,
    TrackerSpec,
    WeightsSpec,
    _WithLibrary,
)

from .choosing import for_its_data_alone
from .hub import weights_path
from .recognition import claims_of, other_reader, recognise, weights_file
from .registry import Registry, check_options, import_target, registry
from .reserved import taken_computing, taken_edits

if TYPE_CHECKING:
    from .computing import Computing

log = logging.getLogger(__name__)

AUTO = "auto"
"""As the name of a generator: the family that recognises the file given as ``weights``."""

ModelKind = Literal["gan", "segmenter", "annotator", "features", "metric"]
"""``annotator``: a segmenter, or an annotator without masks."""
ModelSpec = GanSpec | SegmenterSpec | AnnotatorSpec | FeaturesSpec | EncoderSpec | MetricSpec

_FLAGS = {
    "gan": "--weights",
    "segmenter": "--segmenter-weights",
    "annotator": "--segmenter-weights",
    "features": "--perceptual-weights",
    "metric": "weights",  # in Python only
}


@dataclass(frozen=True)
class ResolvedModel:
    """A model as its name was resolved, before anything heavy is imported."""

    name: str  # ``family`` or ``family:weights``
    spec: ModelSpec
    options: BaseModel  # validated; as given, and as implied by the weights
    weights: Path | None = None  # None for models without weights, and until ``located``
    weights_spec: WeightsSpec | None = None  # None for a user's own file
    edits: tuple[Path, ...] = ()  # files of edits of a generator's weights, in order
    computing: Computing | None = None  # of a segmenter: precision and compilation, if chosen

    def located(self, *, fetch: bool = True) -> ResolvedModel:
        """The same with the place of its weights on this machine; errors as ``hub.weights_path``.

        ``fetch`` says whether published weights that are not here are downloaded.
        """
        if self.weights is not None or self.weights_spec is None:
            return self
        return replace(self, weights=weights_path(self.weights_spec, fetch=fetch))

    def named(self, record: ModelRecord) -> ModelRecord:
        """A record of the loaded model with this name, and the licence of registered weights.

        Edits are named behind it by their files: pages must not take an edited generator for its
        original.
        """
        licence = record.licence if self.weights_spec is None else self.weights_spec.licence
        name = " + ".join([self.name, *(printable(edit.stem) for edit in self.edits)])
        return record.model_copy(update={"name": name, "licence": licence})

    def build(self) -> Any:
        """Call the family's target with weights and options; the result is on the CPU.

        Raises:
            StateMismatchError: instead of the target's own refusal, if another family reads the
                file (names it).
        """
        weights = self.located().weights
        try:
            return import_target(self.spec)(weights, self.options)
        except WeightsError as error:
            reader = None if weights is None else self._other_reader(weights)
            if reader is None:
                raise
            raise StateMismatchError(f"{weights}: {reader}, not by {self.spec.name}") from error

    def _other_reader(self, weights: Path) -> str | None:
        """In words: the family that reads the file instead; None if this one does, or none."""
        from seeingkit.weights import read_checkpoint

        if not isinstance(self.spec, (GanSpec, SegmenterSpec, EncoderSpec)):
            return None
        try:
            checkpoint = read_checkpoint(weights_file(weights))
            if self.spec.recognise and claims_of(checkpoint, [self.spec]):
                return None
            return other_reader(checkpoint, registry(), [self.spec])
        except WeightsError:
            return None  # it cannot even be read, as was said

    def load(self, device: str = "cpu") -> Any:
        """The loaded model on a device.

        Raises:
            PluginError: the target gives no model.
        """
        from seeingkit.contracts import ModelInfo
        from seeingkit.system.devices import resolve_device

        from .code import code_of
        from .probe import put_info

        resolved = resolve_device(device)
        model = self.build()
        if not hasattr(model, "info"):
            kind = type(model).__name__
            raise PluginError(f"{self.spec.target} returned a {kind}, not a model")
        if isinstance(model.info, ModelInfo):
            put_info(model, model.info.model_copy(update={"code": code_of(self.spec)}))
        model = model.to(resolved)
        if self.computing is not None:
            from .computing import tune

            return tune(model, self.computing, self.name)
        if not self.edits:
            return model
        from .weightedits import RewrittenGenerator, WeightEdit, rewritable

        edits = [WeightEdit.load(path) for path in self.edits]
        edited = RewrittenGenerator(rewritable(model), edits)
        for words in edited.info.assumptions[len(model.info.assumptions) :]:
            log.warning("it is assumed that %s", words)
        return edited


def resolve(
    kind: ModelKind,
    name: str,
    *,
    weights: str | Path | None = None,
    domain: str | None = None,
    options: Mapping[str, object] | None = None,
    known: Registry | None = None,
    fetch: bool = True,
    locate: bool = True,
) -> ResolvedModel:
    """Decide family, weights and options of a model.

    Args:
        kind, name, weights, domain, options: as of ``seeingkit.models.loading.load_generator``;
            ``edits`` among the options of any generator are files of edits, ``precision`` and
            ``compile`` among those of any segmenter say how it computes.
        known: default: the registry of this process.
        fetch: whether published weights that are not on this machine are downloaded.
        locate: whether the files must be here; else ``ResolvedModel.located`` finds them later.

    Raises:
        UnknownNameError: no such family or weights.
        UsageError: an option that does not exist or does not fit; several weights to choose from.
        PluginError: the library of a metric is not installed.
        MissingWeightsError: the files are not here (the message says where to get them).
    """
    known = known or registry()
    given = dict(options or {})
    if weights is not None and not Path(weights).exists():
        missing = f"{weights}: no such weights file or folder; check {_FLAGS[kind]}"
        raise MissingWeightsError(missing)
    if kind == "gan":
        name = _single_family(name, weights, domain, known)
    edits = taken_edits(given.pop("edits", None)) if kind == "gan" else ()
    family, _, tag = name.partition(":")
    found_spec = known.annotator(family) if kind == "annotator" else known.resolve(kind, family)
    spec = cast("ModelSpec", found_spec)
    if isinstance(spec, MetricSpec):
        check_options(spec, given)  # before the library: a wrong option needs no installation
        _check_installed(spec)
    own, chosen, shown = None if weights is None else Path(weights), None, spec.name
    if isinstance(spec, GanSpec) and spec.takes_reference and tag:
        given["reference"], shown = tag, name
    elif own is None:
        chosen = _registered_weights(kind, spec, tag, domain, known)
    elif tag:
        raise UsageError(f"{name} already names weights; give {spec.name} with {_FLAGS[kind]} FILE")
    if chosen is not None:
        given, shown = {**chosen.options, **given}, chosen.full_name
    computing = taken_computing(spec, given) if kind in ("segmenter", "annotator") else None
    found = ResolvedModel(shown, spec, check_options(spec, given), own, chosen, edits, computing)
    return found.located(fetch=fetch) if locate else found


def resolve_features(
    name: str,
    *,
    weights: str | Path | None = None,
    options: Mapping[str, object] | None = None,
    known: Registry | None = None,
) -> ResolvedModel | None:
    """As ``resolve`` for perceptual features, with two reserved names.

    ``none`` is None. ``auto`` is the first, in the order of ``FeaturesSpec.rank``, whose weights
    are on this machine, and None if there is no such; weights that are there and are wrong are an
    error, as they are for a family that was named.

    Raises:
        UsageError: weights or options for ``none`` or ``auto``; otherwise as ``resolve``.
    """
    if name not in ("none", AUTO):
        return resolve("features", name, weights=weights, options=options, known=known)
    if weights is not None or options:
        given = "--perceptual-weights" if weights is not None else "options"
        raise UsageError(f"{name!r} takes no {given}; name the perceptual features they are for")
    if name == "none":
        return None
    known = known or registry()
    specs = cast("list[FeaturesSpec]", known.specs("features"))
    for spec in sorted(specs, key=lambda s: (s.rank, s.name)):
        published = [w.full_name for w in known.weights_for(spec.name)]
        for candidate in published if spec.needs_weights else [spec.name]:
            try:
                return resolve("features", candidate, known=known, fetch=False)
            except MissingWeightsError:
                continue
    return None


def _registered_weights(
    kind: ModelKind, spec: ModelSpec, tag: str, domain: str | None, known: Registry
) -> WeightsSpec | None:
    """The weights that were named, or the best there are; None for a model without weights."""
    remedy = f"give {_FLAGS[kind]} FILE"
    names = [w.full_name for w in known.weights_for(spec.name)]
    if tag:
        try:
            return cast("WeightsSpec", known.resolve("weights", f"{spec.name}:{tag}"))
        except UnknownNameError as error:
            raise UnknownNameError("weights", error.name, names, f"(or {remedy})") from None
    if not spec.needs_weights:
        return None
    candidates = _candidates(kind, spec.name, domain, known)
    if not candidates:
        listed = f" (registered: {_listed(names)})" if names else ""
        missing = f"{spec.name} has no registered weights{_for(domain)}{listed}"
        raise MissingWeightsError(f"{missing}; {remedy}")
    return candidates[0]


def _candidates(
    kind: ModelKind, family: str, domain: str | None, known: Registry
) -> list[WeightsSpec]:
    """Registered weights that may stand for a family named alone, the best first.

    Those of the data's domain; for models that take images also those of no particular domain.
    Without a domain to go by, the only one there is.

    Raises:
        UsageError: no domain to go by, and several to choose from.
    """
    found = known.weights_for(family, domain) if domain else []
    every = known.weights_for(family)
    # A segmenter or classifier that was made for one data set alone is never a guess.
    if kind in ("segmenter", "annotator"):
        every = [weights for weights in every if not for_its_data_alone(weights)]
    if not found and kind != "gan":
        found = [weights for weights in every if not weights.domains]
    if found or domain:
        return found
    if len(every) > 1:
        names = _listed([weights.full_name for weights in every])
        raise UsageError(
            f"which {family}? There are {len(every)} and no data set says which: name one "
            f"({names}; see 'seeingkit weights ls {family}') or give {_FLAGS[kind]} FILE"
        )
    return every


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def _single_family(
    name: str, weights: str | Path | None, domain: str | None, known: Registry
) -> str:
    """``auto`` and groups come down to one family, or ``family:weights``."""
    family, _, tag = name.partition(":")
    group = None if family == AUTO else known.find("gan", family)
    if family != AUTO and not isinstance(group, GanGroupSpec):
        return name
    assert group is None or isinstance(group, GanGroupSpec)
    if weights is not None:
        if tag:
            raise UsageError(f"{name} already names weights; give {family} with --weights FILE")
        families = None if group is None else group.families
        return recognise(Path(weights), known, families, name=family).spec.name
    if group is None:
        raise UsageError("auto finds the family of a file: give --weights FILE, or name a family")
    for member in group.families:
        if tag:
            found = [w for w in known.weights_for(member) if tag in (w.name, *w.aliases)]
        else:
            found = _candidates("gan", member, domain, known)
        if found:
            return found[0].full_name
    if tag:
        names = [w.name for member in group.families for w in known.weights_for(member)]
        raise UnknownNameError(f"weights of {family}", tag, names)
    none = f"none of {', '.join(group.families)} has registered weights{_for(domain)}"
    raise MissingWeightsError(f"{none}; give --weights FILE")


def _for(domain: str | None) -> str:
    return f" for {domain!r}" if domain else ""


def opened(spec: ExecutorSpec | TrackerSpec, options: Mapping[str, object], contract: type) -> Any:
    """What a spec's target makes of options, for kinds without weights.

    Args:
        options: not yet validated.
        contract: the class that it must be of.

    Raises:
        UsageError: an option that does not exist or does not fit.
        PluginError: its library is not installed, it cannot be loaded, or gives something else.
    """
    checked = check_options(spec, dict(options))
    _check_installed(spec)
    found = import_target(spec)(checked)
    if not isinstance(found, contract):
        raise PluginError(f"{spec.name}: {spec.target} gives no {contract.__name__}")
    return found


def _check_installed(spec: _WithLibrary) -> None:
    """The library that a spec needs is installed; it is not imported.

    Raises:
        PluginError: it is not; says which extra brings it.
    """
    if spec.package is None or importlib.util.find_spec(spec.package) is not None:
        return
    install = f"pip install 'seeingkit[{spec.extra}]'" if spec.extra else "install it"
    needed = f"{spec.name} needs the package {spec.package}, which is not installed"
    raise PluginError(f"{needed}; {install}")
