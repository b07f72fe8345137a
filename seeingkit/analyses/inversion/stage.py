"""The inversion stage of a run: photos and generator samples → inversions → losses → records.

Guarantees: every method at every cut is prepared once; records are ranked, and their pictures are
in the run directory (see ``album``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from seeingkit.contracts import Generator, ImageSource, Segmenter
from seeingkit.errors import ModelError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.results import (
    CalibrationRecord,
    ClassVanishing,
    InversionRecord,
    InversionSettings,
    SkippedItem,
)
from seeingkit.specs import Preset

from . import ResolvedInverter
from .album import Album
from .amounts import bounded
from .calibration import calibrate, class_labels, losses_in
from .config import InversionConfig
from .cuts import PreparedMethod, cuts_of, methods_at, prepare
from .distance_to_data import DistanceToData
from .patches import PatchedSamples
from .photos import Chosen, Inverted, invert_sources
from .store import InversionStore
from .vanishing import Losses
from .verdicts import LEVEL, classes_seen, judge_classes, losses_of, with_usual

Kind = Literal["own", "patched", "photo"]
"""What is inverted: a sample as it is, a sample with a foreign patch, or a photo."""


@dataclass(frozen=True, eq=False)
class Photos:
    """The images to invert.

    Attributes:
        source: pictures of the generator's size.
        rows: numbers of the chosen ones.
        own: generator samples.
        own_rows: numbers of those that are inverted as they are; empty: none.
        picked_for: the omitted class each photo was picked for, by id.
        labels: class of each chosen photo, where it is known (conditional generators).
        drawn: labels of the classes that the generator draws, by a comparison; None: those that
            its samples show.
    """

    source: ImageSource
    rows: Sequence[int]
    own: SamplerSource
    own_rows: Sequence[int]
    picked_for: Mapping[str, str | None] = field(default_factory=dict)
    labels: Sequence[int] | None = None
    drawn: frozenset[str] | None = None


@dataclass(eq=False)
class StageResult:
    """The results of the stage, as they go into ``results.json``."""

    settings: InversionSettings
    calibrations: list[CalibrationRecord] = field(default_factory=list)
    records: list[InversionRecord] = field(default_factory=list)
    vanishing: list[ClassVanishing] = field(default_factory=list)
    skipped: list[SkippedItem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def run_stage(
    generator: Generator,
    photos: Photos,
    config: InversionConfig,
    inverters: Sequence[ResolvedInverter],
    run_dir: Path | None,
    *,
    ready: Mapping[tuple[str, str], PreparedMethod] | None = None,
    segmenter: Segmenter | None,
    preset: Preset,
    seed: int = 0,
    batch_size: int = 8,
    store: InversionStore | None = None,
    distance: DistanceToData | None = None,
    on_bad: Literal["skip", "fail"] = "skip",
) -> StageResult:
    """Invert, calibrate, compare, and write the pictures.

    Args:
        config: cuts, and how photos were picked.
        inverters: the methods, with the options of ``config``.
        run_dir: pictures go to ``inversions/`` in it; None: do this process's share of the
            inversions and nothing else.
        ready: of ``prepare_first_cut``.
        segmenter: None: no class areas.
        preset: how the segmenter sees photo and reconstruction.
        seed, batch_size, store: as ``invert_sources``.
        distance: marks photos outside the reference images.
        on_bad: whether a photo that cannot be used is skipped or ends the run.

    Raises:
        UnknownNameError: a cut that does not exist.
        UsageError: a conditional generator without labels.
        ModelError: an image that cannot be used, with ``on_bad="fail"``.
    """
    config, said = bounded(config, generator, seed)
    album = None
    if run_dir is not None:
        album = Album(run_dir, segmenter, preset, distance, photos.picked_for)
    invert = partial(invert_sources, generator, seed=seed, batch_size=batch_size, store=store)
    invert = partial(invert, all_readable=on_bad == "fail")
    stage = _Stage(generator, photos, config, album, segmenter is not None, on_bad, invert)
    for cut, resolved in methods_at(generator, inverters, config):
        one = (ready or {}).get((resolved.spec.name, cut))
        stage.invert(one or prepare(generator, resolved, cut))
    vocabulary = segmenter.vocabulary if segmenter else None
    settings = InversionSettings(
        preset=str(config.options.get("preset", "fast")),
        perceptual=stage.perceptual,
        encoders=list(stage.encoders.values()),
        labels=list(vocabulary.names) if vocabulary else [],
        has_background=vocabulary.has_background if vocabulary else True,
        reference=distance.reference if distance else None,
        drawn=sorted(stage.drawn),
        drawn_by="" if not stage.vanishing else "samples" if photos.drawn is None else "comparison",
        level=LEVEL,
        seed=seed,
        options={
            **config.options,
            "pick": config.pick,
            "per_class": config.per_class,
            "own": config.own,
            "patched": config.patched,
        },
    )
    skipped = list(stage.skipped.values())
    warnings = [*said, *stage.warnings()]
    records, vanishing = stage.ranked(cuts_of(generator, config)), stage.vanishing
    return StageResult(settings, stage.calibrations, records, vanishing, skipped, warnings)


def photo_label(generator: Generator, label: int | None) -> int | None:
    """The class of all photos; None for a generator without classes.

    ``photo_label(generator, 3)``.

    Raises:
        UsageError: a conditional generator without such a class.
    """
    classes = len(generator.info.class_names)
    if not classes:
        return None
    if label is None or label >= classes:
        raise UsageError(
            f"{generator.info.family} is conditional: say which class the photos are of with "
            f"--label 0 to {classes - 1}"
        )
    return label


@dataclass(eq=False)
class _Stage:
    """The stage in progress: its inputs, and the results so far.

    Attributes:
        album: None: inversions are made, and no records.
        judged: there is a segmenter, so classes get verdicts.
        invert_sources: ``photos.invert_sources`` for the generator.
        perceptual: name of the perceptual features that were used last.
        encoders: records of the encoders that were used, by hash.
        unaided: methods and cuts that started from the average image for lack of an encoder.
        said: warnings of the prepared methods, each once.
        drawn: labels of the classes that the generator draws, as far as verdicts needed them.
    """

    generator: Generator
    photos: Photos
    config: InversionConfig
    album: Album | None
    judged: bool
    on_bad: Literal["skip", "fail"]
    invert_sources: Callable[..., list[Inverted]]
    calibrations: list[CalibrationRecord] = field(default_factory=list)
    records: list[InversionRecord] = field(default_factory=list)
    vanishing: list[ClassVanishing] = field(default_factory=list)
    drawn: frozenset[str] = frozenset()
    skipped: dict[tuple[str, str], SkippedItem] = field(default_factory=dict)
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    unaided: list[str] = field(default_factory=list)
    said: dict[str, None] = field(default_factory=dict)
    perceptual: str = "none"

    def invert(self, method: PreparedMethod) -> None:
        """One method at one cut: generator samples and photos together."""
        prepared = method.prepared
        found = self._inverted(method)
        patched = self._calibrate(method, found.get("own"), found.get("patched"))
        if prepared.encoder is not None:
            key = prepared.encoder.sha256 or prepared.encoder.kind
            self.encoders[key] = prepared.encoder.about()
        elif prepared.start == "average":
            self.unaided.append(f"{method.inverter.name} at {prepared.cut}")
        self.said |= dict.fromkeys(prepared.warnings)
        self.perceptual = "none" if prepared.features is None else prepared.features.name
        if self.album is not None:
            records = self.album.records(found["photo"])
            self.records += self._judge(method, records, patched)

    def _judge(
        self, method: PreparedMethod, records: list[InversionRecord], patched: Losses | None
    ) -> list[InversionRecord]:
        """Verdicts of the classes in these records; the records, with usual rates."""
        assert self.album is not None
        names = self.album.names
        losses = losses_of(records, names)
        if self.photos.drawn is not None:
            drawn = frozenset(k for k, name in enumerate(names) if name in self.photos.drawn)
        else:
            drawn = classes_seen(patched, self.config.patched)
        self.drawn |= {names[k] for k in drawn}
        self.vanishing += judge_classes(
            losses, patched, drawn, method=method.inverter.name, cut=method.prepared.cut
        )
        return with_usual(records, losses, drawn)

    def _calibrate(
        self, method: PreparedMethod, found: Inverted | None, patched: Inverted | None
    ) -> Losses | None:
        """Sum up inverted samples; the losses of classes in those with a foreign patch."""
        album = self.album
        if album is None:
            return None
        if found is None or not found.inversions:
            return None if patched is None else losses_in(patched, album.segmenter, album.preset)
        inverter, cut = method.inverter, method.prepared.cut
        record, losses = calibrate(
            self.generator,
            self.photos.own,
            found,
            inverter,
            cut,
            album.segmenter,
            album.preset,
            patched,
        )
        self.calibrations.append(record)
        return losses

    def _chosen(self) -> dict[Kind, Chosen]:
        """What is inverted: samples as they are, samples with a foreign patch, and photos."""
        photos, own = self.photos, self.photos.own
        found: dict[Kind, Chosen] = {}
        if photos.own_rows:
            found["own"] = Chosen(own, photos.own_rows, class_labels(own, photos.own_rows))
        if self.config.patched and self.judged:
            source, many = PatchedSamples(own.first(self.config.patched)), self.config.patched
            found["patched"] = Chosen(source, range(many), class_labels(source, range(many)))
        found["photo"] = Chosen(photos.source, photos.rows, self._labels())
        return found

    def _inverted(self, method: PreparedMethod) -> dict[Kind, Inverted]:
        """Invert everything by one method at one cut; what is skipped is kept, each once."""
        chosen = self._chosen()
        what = "photos" if len(chosen) == 1 else "photos and generator samples"
        title = f"{what}, {method.inverter.name} at {method.prepared.cut}"
        made = self.invert_sources(
            list(chosen.values()), method.inverter, prepared=method.prepared, title=title
        )
        found = dict(zip(chosen, made, strict=True))
        for kind, inverted in found.items():
            for skip in inverted.skipped:
                if self.on_bad == "fail":
                    raise ModelError(f"{skip.item}: {skip.reason}")
                side: Literal["photo", "own"] = "photo" if kind == "photo" else "own"
                item = SkippedItem(source=side, item=skip.item, reason=skip.reason)
                self.skipped[kind, skip.item] = item
        return found

    def _labels(self) -> list[int] | None:
        """Class of each photo, for a conditional generator."""
        label = self.config.label
        if self.generator.info.class_names and label is None and self.photos.labels is not None:
            return list(self.photos.labels)
        label = photo_label(self.generator, label)
        return None if label is None else [label] * len(self.photos.rows)

    def ranked(self, cuts: Sequence[str]) -> list[InversionRecord]:
        """The records, by the area of classes that vanished, and the generator's own cut last.

        A report shows the last cut first, and a sweep ends at cuts from which anything can be
        drawn.
        """
        usual = self.generator.boundary(self.generator.default_cut).name
        places = [
            (c, m) for c in sorted(cuts, key=lambda cut: cut == usual) for m in self.config.methods
        ]
        return sorted(
            self.records,
            key=lambda r: (
                places.index((r.cut, r.method)),
                -sum(c.gone for c in r.classes if c.vanished),
            ),
        )

    def warnings(self) -> list[str]:
        """What methods say of their parts, and parts that are missing here, for people."""
        found = list(self.said)
        if self.unaided and self.config.options.get("encoder") != "none":
            found.append(
                f"{', '.join(self.unaided)}: no encoder of this generator is available, so "
                "inversion started from the average image; --encoder train makes one"
            )
        if self.perceptual == "none" and self.config.options.get("perceptual", "auto") == "auto":
            found.append(
                "no perceptual features are installed, so inversion compared pixels only; "
                "pip install 'seeingkit[perceptual]' adds some"
            )
        return found
