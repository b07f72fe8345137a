"""The plan of a run: every name in its config resolved once.

Guarantees: after ``resolve`` the config is complete, each model is a ``ResolvedModel`` with
validated options, and no later step looks a name up again; wrong names and options are found here,
before any image is read or anything is fetched (``auto`` reads the user's file to recognise it). A
plan holds nothing open: it is the unit of work of a run, of each process of it, and of a suite.
``seeingkit.runs.sides`` opens its images and models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from seeingkit.analyses.comparison.checks.metrics import resolve_metric
from seeingkit.analyses.comparison.dependence import read_rule
from seeingkit.analyses.inversion import ResolvedInverter
from seeingkit.contracts.latents import SERIES
from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.images.opening import check_there
from seeingkit.models.choosing import which_segmenter
from seeingkit.models.loading import (
    data_spec,
    is_generator_name,
    trained_on,
    usual_generator,
    with_reference,
)
from seeingkit.models.registry import check_options, registry
from seeingkit.models.resolved import ResolvedModel
from seeingkit.models.resolved import resolve as resolve_model
from seeingkit.specs import DataSpec, Preset, SourceOptions

from .config import Config
from .search import Search

T = TypeVar("T")


@dataclass(frozen=True)
class Side:
    """One set of images by its name: a generator, a registered data set, or a path.

    Attributes:
        name: as in the config.
        generator: the model, if it is a generator.
        data: the data set, if it is one.
        data_options: validated options of the data set.
        path_options: options of an image source by path (``seeingkit.images.Limits``).
        missing: its weights are missing, so that nothing else is known of it.
        given: not these images as they are, but as the generator of the other side is given them.
    """

    name: str
    generator: ResolvedModel | None = None
    data: DataSpec | None = None
    data_options: BaseModel | None = None
    path_options: Mapping[str, Any] = field(default_factory=dict)
    missing: bool = False
    given: bool = False


@dataclass(frozen=True)
class Plan:
    """A config with its names resolved.

    Attributes:
        config: complete; missing settings come from the data set or the registry.
        preset: preprocessing of both sides.
        device: where models compute.
        real: the real images; of ``invert`` the data set the generator learnt from, if known.
        generated: the generated images.
        segmenter: None only for ``invert`` without class areas.
        second: the second segmenter, if ``sensitivity`` names one.
        second_name: how reports call it.
        metric: the metrics of another library, if they were asked for.
        inverters: the methods of inversion.
        warnings: for the readers of the results.
        missing: messages of files that were asked for and are not there.
    """

    config: Config
    preset: Preset
    device: str
    real: Side
    generated: Side
    segmenter: ResolvedModel | None
    second: ResolvedModel | None = None
    second_name: str = ""
    metric: ResolvedModel | None = None
    inverters: tuple[ResolvedInverter, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def segmenter_asked(self) -> bool:
        """Whether ``invert`` must have its segmenter, because its weights were named."""
        return segmenter_asked(self.config)


def segmenter_asked(config: Config) -> bool:
    """Whether weights of a segmenter were named, so that there is no going on without."""
    return config.segmenter_weights is not None or ":" in config.segmenter


def resolve(config: Config) -> Plan:
    """Resolve every name in a config.

    Raises:
        UnknownNameError, UsageError: a name, an option or a setting that cannot be right; all
            faults that can be known now are in one error.
        SourceError: a path that leads nowhere.
        PluginError: the library of a metric is not installed.
        MissingWeightsError: of ``invert``: a weights file that was given and does not exist. Other
            commands collect such files in ``Plan.missing``.
    """
    search = Search()
    inverters = search.inverters(config)
    if config.command == "invert":
        return _inversion_plan(config, inverters, search)
    if config.command in ("dissect", "intervene"):
        return _layers_plan(config, search)
    data = None
    of_a_generator = config.command in ("analyze", "artifacts", "assess")
    config, generated = _translated(config, search)
    if of_a_generator:
        config = config.filled(real=config.real or registry().default("data"))
    data = data_spec(config.real)
    real = search.find(lambda: _real_side(config, data))
    search.lost = real is None and not search.missing.messages
    if of_a_generator and not config.generated:
        given = bool(config.weights)
        name = search.find(lambda: usual_generator(data, own_weights=given))
        config = config.filled(generated=name or "")
    usual = data or (data_spec(config.generated) if config.command == "compare" else None)
    config = _with_defaults(config, usual)
    search.find(lambda: _check_truth_folder(config.truth))
    if config.generated and generated is None:
        generated = search.find(lambda: _generated_side(config, data, {}))
    segmenter = search.find(lambda: _segmenter(config, data))
    if (groups := config.groups) is not None:
        search.find(lambda: read_rule(groups))
    second = search.find(lambda: _second_segmenter(config.sensitivity)) or (None, "")
    metric = search.find(lambda: resolve_metric(locate=False)) if config.fidelity else None
    absent = Side(config.generated, missing=True)
    return Plan(
        **search.settled(config),
        real=real or absent,
        generated=generated or absent,
        segmenter=segmenter,
        second=second[0],
        second_name=second[1],
        metric=metric,
        inverters=() if config.command == "analyze" and config.paired else inverters,
        missing=tuple(search.missing.messages),
    )


def _translated(config: Config, search: Search) -> tuple[Config, Side | None]:
    """An analysis without real images of a generator that translates: against what it translates.

    Returns:
        the config with these images as the real ones, paired, and the generator's side; both as
        they were for any other run.

    Raises:
        UsageError: pairs of a generator that does not translate, or with other images.
    """
    source = config.gan_options.get("source")
    if config.command != "analyze" or (config.real and not config.paired):
        return config, None
    if source is None and not config.paired:
        return config, None
    own = config.filled(generated=config.generated or usual_generator(None, own_weights=True))
    side = search.find(lambda: _generated_side(own, None, {}))
    model = None if side is None else side.generator
    if model is not None and not issubclass(model.spec.options, SourceOptions):
        if config.paired:
            raise UsageError(
                f"--paired: {model.name} translates no images; pairs are for compare, or for a "
                "generator with --gan-option source=PATH"
            )
        return config, side
    name = model.name if model else "the generator"
    if source is None:
        raise UsageError(f"--paired: say which images {name} translates with --gan-option source=")
    if config.paired and config.real and config.real != source:
        raise UsageError(
            f"--paired: {name} translates {source}; leave out --data {config.real}, or compare "
            "these with compare REAL GENERATED --paired"
        )
    return own.filled(real=str(source), paired=True), side


def resolve_source(config: Config) -> Plan:
    """The plan of the command ``tally``: ``config.generated`` alone; see ``resolve``."""
    search = Search()
    data = data_spec(config.generated)
    config = _with_defaults(config, data)
    side = search.find(lambda: _generated_side(config, data, config.data_options))
    search.lost = side is None and not search.missing.messages
    segmenter = search.find(lambda: _segmenter(config, data))
    side = side or Side(config.generated, missing=True)
    return Plan(
        **search.settled(config),
        real=side,
        generated=side,
        segmenter=segmenter,
        missing=tuple(search.missing.messages),
    )


def _inversion_plan(
    config: Config, inverters: tuple[ResolvedInverter, ...], search: Search
) -> Plan:
    name = config.generated
    if not name:
        usual = data_spec(config.real or registry().default("data"))
        name = usual_generator(usual, own_weights=bool(config.weights))
    for photo in config.photos:
        if data_spec(photo) is None:
            search.find(partial(check_there, photo))
    real, generator = config.real, None
    if not real and not config.weights:  # the data set that the weights were trained on
        generator = search.find(lambda: _model("gan", name, config, None))
        real = trained_on(generator)
        search.lost = generator is None  # and with it the data set and its segmenter
    data = data_spec(real) if real else None
    if generator is None and not search.lost:
        generator = search.find(lambda: _model("gan", name, config, data))
    side = search.find(lambda: _data_side(real, data, config.data_options))
    config = _with_defaults(config.filled(real=real, generated=name), data)
    warnings: list[str] = []

    def class_areas() -> ResolvedModel | None:
        try:
            return None if config.segmenter == "none" else _segmenter(config, data)
        except MissingWeightsError as error:  # no weights of the default segmenter are registered
            if segmenter_asked(config):
                raise
            warnings.append(f"no class areas: {error}")
        return None

    segmenter = search.find(class_areas)
    if search.missing.messages:  # a file that was given: nothing can go on without it
        search.faults.add(MissingWeightsError("; ".join(search.missing.messages)))
    settled = search.settled(config)
    assert side is not None
    return Plan(
        **settled,
        real=side,
        generated=Side(name, generator),
        segmenter=segmenter,
        inverters=inverters,
        warnings=tuple(warnings),
    )


USUAL_N = {"dissect": 1_000, "intervene": 100}
"""Images of a command that looks into a generator, unless another number is asked for."""


def _layers_plan(config: Config, search: Search) -> Plan:
    """Generator and segmenter; the data set gives the segmenter and the preprocessing alone.

    It is the one that was named, else that of the generator's published weights; a family alone
    means its weights for the default data set, as in ``analyze``.
    """
    real, name, generator = config.real, config.generated, None
    family_alone = not name or (":" not in name and registry().find("gan", name) is not None)
    if not real and not config.weights and family_alone:
        real = registry().default("data")
    if not name:
        name = usual_generator(data_spec(real) if real else None, own_weights=bool(config.weights))
    data = data_spec(real) if real else None
    if real and data is None:
        search.faults.add(
            UsageError(
                f"--data {real}: {config.command} needs no real images, only the name of a data "
                "set, for its segmenter and preprocessing; leave it out and give --segmenter"
            )
        )
    if config.data_options:
        search.faults.add(
            UsageError(f"--data-option: {config.command} opens no data set; leave it out")
        )
    named = config.filled(real=real, generated=name, n=config.n or USUAL_N[config.command])
    generator = search.find(lambda: _model("gan", name, named, data))
    domains = generator.weights_spec.domains if generator and generator.weights_spec else ()
    if not config.real and generator is not None and not domains:
        real, data = "", None  # a generator of no known data: its segmenter must be named
    if not real:
        real = trained_on(generator)
        data = data_spec(real) if real else None
    search.lost = generator is None and not search.missing.messages
    config = _with_defaults(named.filled(real=real), data)
    segmenter = search.find(lambda: _segmenter(config, data))
    return Plan(
        **search.settled(config),
        real=Side(real),
        generated=Side(name, generator, missing=generator is None),
        segmenter=segmenter,
        missing=tuple(search.missing.messages),
    )


def _with_defaults(config: Config, data: DataSpec | None) -> Config:
    """Preset and segmenter of a data set, where the user named none."""
    defaults: dict[str, Any] = {}
    if data is not None and "preset" not in config.model_fields_set:
        defaults["preset"] = data.preset
    if not config.segmenter and config.segmenter_weights:
        defaults["segmenter"] = registry().default("segmenter")
    elif not config.segmenter and data is not None and not data.takes_reference:
        defaults["segmenter"] = data.segmenter or registry().default("segmenter")
    return config.filled(**defaults)


def is_generator(name: str, *, given_weights: bool = False) -> bool:
    """Whether a side's name means a registered generator family, and not a file of that name."""
    if not is_generator_name(name):
        return False
    tag = name.partition(":")[2]
    return bool(tag) or given_weights or not Path(name).exists()


def _real_side(config: Config, data: DataSpec | None) -> Side:
    if config.command == "analyze" and config.paired:
        return replace(_data_side(config.real, data, config.data_options), given=True)
    if is_generator(config.real):
        return Side(config.real, resolve_model("gan", config.real, locate=False))
    return _data_side(config.real, data, config.data_options)


def _data_side(name: str, data: DataSpec | None, options: Mapping[str, Any]) -> Side:
    if data is None:
        if name:  # empty: ``invert`` without a data set
            check_there(name)
        return Side(name, path_options=options)
    given = with_reference(data, name, options)
    return Side(name, data=data, data_options=check_options(data, given))


def _generated_side(config: Config, real: DataSpec | None, options: Mapping[str, Any]) -> Side:
    """The side that options of a generator are for; ``real`` chooses among its weights."""
    name = config.generated
    if config.command in ("analyze", "artifacts", "assess") or is_generator(
        name, given_weights=bool(config.weights)
    ):
        return Side(name, _model("gan", name, config, real))
    if config.labels is not None:
        raise UsageError("--labels is for a conditional generator, not for a set of images")
    if config.gan_options.get("edits"):
        raise UsageError(f"--edit is for a generator; {name} is a set of images")
    return _data_side(name, data_spec(name), options)


def _model(
    kind: Literal["gan", "annotator"], name: str, config: Config, data: DataSpec | None
) -> ResolvedModel:
    gan = kind == "gan"
    found = resolve_model(
        kind,
        name,
        weights=config.weights if gan else config.segmenter_weights,
        domain=None if data is None or data.takes_reference else config.real or config.generated,
        options=config.gan_options if gan else config.segmenter_options,
        locate=False,
    )
    if gan:
        check_seed(found, config.seed)
    return found


def check_seed(model: ResolvedModel, seed: int) -> None:
    """Seeds of runs of a generator that translates images are below ``SERIES``.

    Raises:
        UsageError: this one is not.

    ::

        check_seed(resolve("gan", "cyclegan", weights="latest_net_G.pth"), 0)
    """
    if issubclass(model.spec.options, SourceOptions) and seed >= SERIES:
        raise UsageError(
            f"--seed {seed}: of a generator that translates images take one below "
            f"{SERIES:,}; from there on seeds tell apart what is chosen and what is measured"
        )


def _segmenter(config: Config, data: DataSpec | None) -> ResolvedModel:
    """The segmenter of a config whose defaults are filled in.

    Raises:
        UsageError: own images, and no segmenter was named; says which there are for them.
    """
    if not config.segmenter:
        raise UsageError(which_segmenter())
    return _model("annotator", config.segmenter, config, data)


def _second_segmenter(sensitivity: str) -> tuple[ResolvedModel | None, str]:
    """The segmenter that ``sensitivity`` names, and its name; none if the check is another one.

    ``family:FILE`` is a family with the user's own file, where there is such a file or folder.
    """
    family, _, tag = sensitivity.partition(":")
    if family in ("auto", "off", "scale"):
        return None, ""
    path = Path(tag)
    if tag and path.exists():
        return resolve_model("segmenter", family, weights=path), f"{family}:{path.name}"
    try:
        return resolve_model("segmenter", sensitivity, locate=False), sensitivity
    except MissingWeightsError as error:
        said = str(error).replace("--segmenter-weights FILE", f"--sensitivity {family}:FILE")
        raise MissingWeightsError(said) from error


def _check_truth_folder(truth: str | None) -> None:
    if truth not in (None, "none", "data") and not Path(truth).is_dir():
        raise UsageError(f"--truth {truth}: no such folder of label maps")
