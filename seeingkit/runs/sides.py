"""The two sides of a comparison: opening the images and loading the models that a plan names.

Guarantees: all files that are missing are named in one error, not the first alone; both sides are
prepared with the plan's preset.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np

from seeingkit.analyses.comparison.conditions import labels_for, source_classes
from seeingkit.analyses.comparison.dependence import groups_of
from seeingkit.analyses.comparison.pairing import pair_up
from seeingkit.analyses.inversion.picking import check_classes, check_listed
from seeingkit.contracts import Annotator, Classifier, ImageSource, Sampler, Segmenter
from seeingkit.errors import UsageError
from seeingkit.images import InputImages, SamplerSource, Selection, open_images
from seeingkit.images.opening import open_data_set
from seeingkit.models.remembered import remembered
from seeingkit.models.resolved import ResolvedModel
from seeingkit.models.wholeimages import WholeImages
from seeingkit.report.words.conditions import matching
from seeingkit.specs import Preset
from seeingkit.system.processes import rank
from seeingkit.tallies import Tally
from seeingkit.tallies.counting import narrowed
from seeingkit.tallies.record import model_record
from seeingkit.tallies.vocabularies.merging import in_classes

from .plan import Plan, Side
from .search import MissingFiles

log = logging.getLogger(__name__)

DEFAULT_N = 10_000
"""Images of a side when neither the user nor a data set says how many (the paper's number)."""


@dataclass(frozen=True)
class Sides:
    """The images and models of a comparison.

    Attributes:
        real, generated: the images.
        segmenter: counts them, with its own labels; an annotator that gives masks, or a classifier.
        shown: the same with the labels merged by the class list, as results and pictures show it.
        second: the second segmenter, if one was asked for; its files are here.
        metric: the metrics of another library; their file is here.
    """

    real: ImageSource
    generated: ImageSource
    segmenter: Annotator
    shown: Segmenter
    second: ResolvedModel | None = None
    metric: ResolvedModel | None = None

    @property
    def doubts(self) -> list[str]:
        """Sentences about generators whose images may be of another range."""
        both = (self.real, self.generated)
        ranges = (source.range for source in both if isinstance(source, SamplerSource))
        return [doubt for seen in ranges if (doubt := seen.doubt()) is not None]

    def close(self) -> None:
        """Let go of the images' files."""
        self.real.close()
        self.generated.close()


def open_sides(plan: Plan) -> Sides:
    """Open both sides and load the models of a comparison.

    Raises:
        MissingWeightsError: names every file that is not here.
        SourceError: images that cannot be used.
        UsageError: an annotator that gives no masks.
        WeightsError: a file that cannot be read.
    """
    missing = MissingFiles(plan.missing)
    with ExitStack() as opened:
        found: list[ImageSource | None] = []
        for side in (plan.real, plan.generated):  # images that are here come before any download
            waits = side.given or (side.generator is not None and side is plan.generated)
            opener = None if side.missing or waits else partial(open_side, side, plan)
            source = None if opener is None else missing.find(opener)
            found.append(None if source is None else opened.enter_context(closing(source)))
        plan = located(plan, missing)
        real, generated = found
        assert plan.segmenter is not None
        segmenter = remembered(plan.segmenter.load(plan.device))
        shown = in_classes(pictured_by(segmenter, plan.segmenter.name), plan.config.classes)
        if plan.second is not None and plan.second.weights_spec is None:
            plan.second.build()  # the user's own file, which may not be what it should
        labels = plan.config.labels
        if generated is None:
            generated = open_side(plan.generated, plan, other=real, labels=labels)
        if real is None:
            real = given_images(generated)
        elif plan.config.paired:
            real = _partners(real, generated)
        if not rank() and not plan.config.paired:
            _say_classes(real, generated)
        opened.pop_all()
    return Sides(real, generated, segmenter, shown, plan.second, plan.metric)


def given_images(translations: ImageSource) -> InputImages:
    """The images that translations were made of, as the generator was given them.

    Raises:
        UsageError: they are no translations.

    ::

        given_images(SamplerSource(generator, 100)).read([0])
    """
    if not isinstance(translations, SamplerSource) or translations.sampler.given is None:
        raise UsageError(f"{translations.name} are no translations of images that were given")
    made = translations
    return InputImages(made.sampler, len(made), made.seed, preset=made.preset, batch=made.batch)


def _partners(real: ImageSource, generated: ImageSource) -> ImageSource:
    """The real images that were translated, where a generator did not translate all of them."""
    if not isinstance(generated, SamplerSource) or generated.sampler.given is None:
        return real
    wanted = set(generated.ids)
    kept = [k for k, item in enumerate(real.ids) if item in wanted]
    return Selection(real, kept) if len(kept) == len(wanted) < len(real) else real


def masks_of(model: Annotator, name: str) -> Segmenter:
    """The model, if it gives masks.

    Args:
        model: as it was loaded.
        name: as it was asked for.

    Raises:
        UsageError: it counts without masks.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> masks_of(segmenter, "upernet:minichurches") is segmenter
    True
    """
    if not isinstance(model, Segmenter):
        raise UsageError(f"{name} gives counts without masks; this command needs a segmenter")
    return model


def pictured_by(model: Annotator, name: str) -> Segmenter:
    """The model as pictures show its labels: itself, or a classifier's classes as whole images.

    Raises:
        UsageError: it gives neither masks nor classes of images.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> pictured_by(segmenter, "upernet:minichurches") is segmenter
    True
    """
    return WholeImages(model) if isinstance(model, Classifier) else masks_of(model, name)


def shown_segmenter(plan: Plan) -> Segmenter:
    """The segmenter of a plan, loaded, with its labels merged by the class list.

    Raises:
        UsageError: it counts without masks.

    ::

        shown_segmenter(located(plan)).label_maps(images)
    """
    assert plan.segmenter is not None
    found = masks_of(plan.segmenter.load(plan.device), plan.segmenter.name)
    return in_classes(found, plan.config.classes)


def check_names(plan: Plan, sides: Sides) -> None:
    """Rules about names of images fit the images there are, before any is counted.

    ``check_names(plan, open_sides(plan))``.

    Raises:
        UnknownNameError: a photo of ``--ids`` or a class of ``--photos-of`` that does not exist.
        UsageError: ``--groups`` that do not fit.
        TallyError: images without a partner, with ``--paired``.
    """
    config = plan.config
    chosen = config.inversion
    if plan.inverters and (chosen.ids or chosen.pick == "list"):
        check_listed(chosen.ids, sides.real.ids)
    if plan.inverters:
        check_classes(chosen.classes, sides.shown.vocabulary.names)
    if not config.paired and config.groups is None:
        return
    real, generated = (_uncounted(source) for source in (sides.real, sides.generated))
    if config.paired:
        pair_up(real, generated, force=config.force)
    if config.groups is not None:
        groups_of(real, generated, config.groups)


def _uncounted(source: ImageSource) -> Tally:
    """A tally with the ids of a source and no numbers."""
    found = Tally.from_fractions(np.zeros((len(source), 1)), ids=source.ids)
    if source.generator is None:
        return found
    made_by = model_record(source.generator, source.name)
    return replace(found, record=found.record.model_copy(update={"generator": made_by}))


def _say_classes(real: ImageSource, generated: ImageSource) -> None:
    """The real images' classes, before the long work: they may not be what was meant."""
    names = () if generated.generator is None else generated.generator.class_names
    if names:
        log.warning("%s", matching(source_classes(real, names).record))


def located(plan: Plan, missing: MissingFiles | None = None) -> Plan:
    """The plan with the place of every model's files on this machine.

    Args:
        plan: as it was resolved.
        missing: what is known to be missing so far.

    Raises:
        MissingWeightsError: names every file that is not here.
    """
    missing = missing or MissingFiles(plan.missing)
    found = [
        None if model is None else missing.find(model.located)
        for model in (plan.generated.generator, plan.segmenter, plan.second, plan.metric)
    ]
    missing.raise_if_any()
    generator, segmenter, second, metric = found
    return replace(
        plan,
        generated=replace(plan.generated, generator=generator),
        segmenter=segmenter,
        second=second,
        metric=metric,
    )


def open_side(
    side: Side, plan: Plan, *, other: ImageSource | None = None, labels: str | None = None
) -> ImageSource:
    """The images of one side, as many as the plan asks for.

    Args:
        side: of the plan.
        plan: gives preset, seed, number and device.
        other: the real images: a generator draws as many when no number was given, and takes its
            classes from them for ``labels="data"``.
        labels: classes that a conditional generator draws (``labels_for``).

    Raises:
        ModelError: the first images of a generator break its contract.
    """
    config = plan.config
    if side.generator is not None:
        sampler = cast("Sampler", side.generator.load(plan.device))
        n = config.n or _usual_n(sampler, config.seed, other)
        drawn = labels_for(labels, sampler, other)
        source = SamplerSource(sampler, n, config.seed, drawn, preset=plan.preset)
        source.name = side.generator.name
        source.examine()  # at once: the other side may take hours
        return source
    whole = open_whole(side, plan.preset)
    if config.paired and plan.generated.generator is not None:
        return whole  # the generator says which of them it translates
    most = DEFAULT_N if side.data is None else side.data.n
    return narrowed(whole, config.n or min(len(whole), most), config.seed)


def _usual_n(sampler: Sampler, seed: int, other: ImageSource | None) -> int:
    """As many images as on the other side, or as there are to translate, if these are fewer."""
    n = DEFAULT_N if other is None else len(other)
    most = sampler.images_at_most(seed)
    return n if most is None else min(n, max(most, 1))


def open_whole(side: Side, preset: Preset) -> ImageSource:
    """All images of a data set or a path, prepared with a preset."""
    if side.data is not None and side.data_options is not None:
        return open_data_set(side.data, preset, side.data_options)
    return open_images(side.name, preset=preset, data_options=side.path_options)


def equally_many(real: Tally, generated: Tally, plan: Plan) -> tuple[Tally, Tally, str | None]:
    """Both sides with as many images as the smaller one has, and a note for the reader.

    FSD depends on the number, so it is made equal unless the comparison is forced; images that
    could not be used make sides unequal too. Which images are left out depends on the seed and
    their number alone.
    """
    if plan.config.force:
        return real, generated, None
    (some_real, some_generated), narrowed = all_equally_many((real, generated), plan.config.seed)
    if narrowed is None:  # also where a side has too few, which the comparison says
        return real, generated, None
    fewest, most = len(some_real), max(len(real), len(generated))
    side = "real" if len(real) == most else "generated"
    left_out = len((generated if side == "real" else real).skipped)
    because = f" ({left_out:,} could not be used there)" if left_out else ""
    note = (
        f"{fewest:,} of the {most:,} {side} images were drawn, as many as there are on the other "
        f"side{because}: FSD depends on the number."
    )
    return some_real, some_generated, note


def all_equally_many(tallies: Sequence[Tally], seed: int) -> tuple[list[Tally], str | None]:
    """All sides with as many images as the smallest one, and a note for the reader.

    Which images are left out depends on the seed and their number alone. Below two images on a
    side nothing is left out.

    >>> tallies = [Tally.from_fractions(np.ones((n, 1))) for n in (9, 8)]
    >>> sides, note = all_equally_many(tallies, 0)
    >>> [len(side) for side in sides], note
    ([8, 8], '8 images of every side were used, as many as the smallest one has: ...')
    """
    sizes = [len(tally) for tally in tallies]
    fewest = min(sizes)
    if fewest == max(sizes) or fewest < 2:
        return list(tallies), None
    kept = {
        size: np.sort(np.random.default_rng(seed).permutation(size)[:fewest])
        for size in set(sizes)
        if size > fewest
    }
    note = (
        f"{fewest:,} images of every side were used, as many as the smallest one has: FSD depends "
        "on the number."
    )
    return [t.take(kept[len(t)]) if len(t) in kept else t for t in tallies], note
