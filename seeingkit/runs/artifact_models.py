"""Models, images and marks of a search for artifact units, and the rows of its real images.

Guarantees: settings, marks and numbers of images are checked before any image is made or read; an
image on which units are chosen is never one of the tests, whatever cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.interventions.artifacts.marks import check_marks
from seeingkit.analyses.interventions.artifacts.real import (
    RealParts,
    RealRows,
    parted_rows,
    readable_parts,
    split_real,
)
from seeingkit.analyses.interventions.artifacts.spaces import (
    AreaSpace,
    FeatureSpace,
    Space,
    real_features,
)
from seeingkit.analyses.interventions.artifacts.stage import check_search
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.contracts import Features, Generator, ImageSource
from seeingkit.errors import UsageError
from seeingkit.models.resolved import ResolvedModel
from seeingkit.results import Marks
from seeingkit.tallies import Tally
from seeingkit.tallies.counted import CountedSource
from seeingkit.tallies.counting import narrowed

from .plan import Plan
from .sides import located, open_whole, shown_segmenter


@dataclass(frozen=True)
class OpenedSearch:
    """The models and images of a search.

    Attributes:
        real: the real images; parts: their numbers in the search and in the tests.
        subject: generator, layer and segmenter.
        sample: generated images of the tests.
        features: that distances are taken in; None: areas of classes.
    """

    real: ImageSource
    parts: RealParts
    subject: Subject
    sample: Sample
    features: Features | None


def open_search(plan: Plan, features: ResolvedModel | None, marks: Marks | None) -> OpenedSearch:
    """Images and models; everything that can be refused is refused here.

    Args:
        plan: of the command.
        features: that distances are taken in; None: areas.
        marks: painted regions, for a ranking by them.

    Raises:
        UsageError: settings or marks that do not fit the generator, or too few real images.

    ::

        open_search(resolve(config), None, read_marks("marks.json")).parts
    """
    config, waits = plan.config, plan.real.generator is not None or plan.real.missing
    whole = None if waits else open_whole(plan.real, plan.preset)  # before any download
    plan = located(plan)
    network = None if features is None else cast("Features", features.load(plan.device))
    if whole is None:
        raise UsageError(f"--data {plan.real.name}: real images are pictures, not a generator")
    if isinstance(whole, CountedSource) and (network is not None or plan.metric is not None):
        raise UsageError(
            f"{plan.real.name}: only areas are known of these images, and features need pictures; "
            "leave out --features and --fidelity"
        )
    assert plan.generated.generator is not None and plan.segmenter is not None
    generator = plan.generated.generator.load(plan.device)
    if not isinstance(generator, Generator):
        raise UsageError(
            f"{plan.generated.name} gives images only (a Sampler); artifact units need a Generator "
            "with layers"
        )
    segmenter = shown_segmenter(plan)
    layer = config.artifacts.layer or generator.default_cut
    subject = Subject(generator, segmenter, layer, plan.preset, config.batch_size)
    assert config.n is not None
    labels = labels_for(config.labels, generator) or ()
    sample = Sample(range(config.n), config.seed, tuple(labels))
    check_search(subject, sample, config.artifacts)
    if marks is not None:
        check_marks(subject, sample, marks)
    most = config.n + config.artifacts.search
    real = narrowed(whole, min(len(whole), most), config.seed)
    parts = split_real(len(real), config.artifacts.search, config.seed)
    return OpenedSearch(real, parts, subject, sample, network)


def real_rows(
    opened: OpenedSearch, counted: Tally, batch: int = 16
) -> tuple[Space, RealRows, RealParts]:
    """The space of distances, and the real images of search and tests: rows and numbers.

    Args:
        opened: of ``open_search``.
        counted: the tally of its real images.
        batch: images at once, where features are taken.

    Raises:
        UsageError: too few images could be read.

    ::

        space, rows, parts = real_rows(opened, counted)
    """
    if opened.features is None:
        places = {item: number for number, item in enumerate(opened.real.ids)}
        read = [places[item] for item in counted.ids]
        parts = readable_parts(opened.parts, read)
        space = AreaSpace(opened.subject.segmenter)
        return space, parted_rows(counted.percent(), read, parts), parts
    read, raw = real_features(opened.features, opened.real, batch)
    parts = readable_parts(opened.parts, read)
    rows = parted_rows(raw, read, parts)
    along = FeatureSpace.of(opened.features, rows.search)
    return along, RealRows(along.along(rows.search), along.along(rows.test)), parts
