"""The inversion stage of a run: photos and own images → inversions → what vanished → records.

Guarantees: a run directory's ``inversions/`` holds a PNG of every photo, reconstruction, label map
and filmstrip that a record names, and the state that was found; numbers are of those pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Generator, ImageSource, Inversion, Segmenter, Skipped
from seeingkit.errors import ModelError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import quantise
from seeingkit.results import CalibrationRecord, InversionRecord, InversionSettings, SkippedItem
from seeingkit.runs.config import InversionConfig
from seeingkit.specs import Preset

from . import load_inverter
from .calibration import calibrate
from .encoders.files import Encoder
from .familiarity import Familiarity
from .photos import Inverted, invert_source
from .store import InversionStore
from .vanishing import LossCalibration, areas, label_maps, lost_classes

FOLDER = "inversions"


@dataclass(frozen=True, eq=False)
class Photos:
    """What to invert.

    Attributes:
        source: pictures of the generator's size.
        rows: which of them.
        picked_for: the omitted class each was picked for, by id.
        own: the generator's own images, and which of them calibrate.
        own_rows: empty: no calibration.
        labels: class of each chosen photo, where it is known (conditional generators).
    """

    source: ImageSource
    rows: Sequence[int]
    own: SamplerSource
    own_rows: Sequence[int]
    picked_for: Mapping[str, str | None] = field(default_factory=dict)
    labels: Sequence[int] | None = None


@dataclass(eq=False)
class StageResult:
    """What the stage found, as it goes into ``results.json``."""

    settings: InversionSettings
    calibrations: list[CalibrationRecord] = field(default_factory=list)
    records: list[InversionRecord] = field(default_factory=list)
    skipped: list[SkippedItem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def cuts_of(generator: Generator, config: InversionConfig) -> list[str]:
    """Canonical names of the cuts asked for; ``all`` is every feature map between the ends.

    Raises:
        UnknownNameError: a cut that does not exist; lists those that do.
    """
    if "all" in config.cuts:
        inner = [b.name for b in generator.boundaries[1:-1] if b.kind == "feature"]
        return inner or [b.name for b in generator.boundaries[1:-1]]
    names = config.cuts or (generator.default_cut,)
    return list(dict.fromkeys(generator.boundary(name).name for name in names))


def run_stage(
    generator: Generator,
    photos: Photos,
    config: InversionConfig,
    run_dir: Path | None,
    *,
    segmenter: Segmenter | None,
    preset: Preset,
    seed: int = 0,
    batch_size: int = 8,
    store: InversionStore | None = None,
    familiarity: Familiarity | None = None,
    on_bad: Literal["skip", "fail"] = "skip",
) -> StageResult:
    """Invert, calibrate, compare, and write the pictures.

    Args:
        generator: what is asked.
        photos: what to invert, and own images.
        config: methods, cuts and their options.
        run_dir: pictures go to ``inversions/`` in it; None: do this process's share of the
            inversions and nothing else.
        segmenter: None: no class areas.
        preset: how the segmenter sees photo and reconstruction.
        batch_size: images optimised together.
        store: where finished inversions are kept.
        familiarity: marks photos unlike the reference images.
        on_bad: whether a photo that cannot be used is skipped or ends the run.
    """
    names = segmenter.vocabulary.names if segmenter else ()
    background = segmenter.vocabulary.has_background if segmenter else True
    options = dict(config.options)
    encoders: dict[str, dict[str, Any]] = {}
    result = StageResult(InversionSettings(preset="fast"))
    album = None if run_dir is None else _Album(run_dir, names, segmenter, preset)
    perceptual = "none"
    skipped: dict[tuple[str, str], SkippedItem] = {}
    unaided: list[str] = []
    for cut in cuts_of(generator, config):
        for method in dict.fromkeys(config.methods):
            inverter = load_inverter(method, **{**options, "cut": cut})
            common: dict[str, Any] = {
                "seed": seed, "batch_size": batch_size, "store": store,
            }  # fmt: skip
            at = f"{method} at {cut}"
            loss: LossCalibration | None = None
            if photos.own_rows:
                own = invert_source(
                    generator,
                    photos.own,
                    inverter,
                    rows=photos.own_rows,
                    labels=_labels(photos.own, photos.own_rows),
                    title=f"own images, {at}",
                    **common,
                )
                _note(skipped, "own", own.skipped, on_bad)
                if own.inversions and album is not None:
                    record, loss = calibrate(
                        generator, photos.own, own, inverter, cut, segmenter, preset
                    )
                    result.calibrations.append(record)
            found = invert_source(
                generator,
                photos.source,
                inverter,
                rows=photos.rows,
                labels=_photo_labels(generator, config, photos),
                title=f"photos, {at}",
                **common,
            )
            _note(skipped, "photo", found.skipped, on_bad)
            encoder = getattr(inverter, "encoder", None)
            if isinstance(encoder, Encoder):
                encoders[encoder.sha256 or encoder.kind] = encoder.about()
            elif getattr(inverter, "guess", "random") != "random":
                unaided.append(at)
            features = getattr(inverter, "features", None)
            perceptual = features.name if features is not None else "none"
            if album is not None:
                result.records += album.records(
                    found, photos.picked_for, loss, background, familiarity, method, cut
                )
    # Ranked: what lost most beyond calibration first. The generator's own cut comes last, because a
    # report shows the last one first, and a sweep ends at cuts from which anything can be drawn.
    result.records.sort(key=lambda record: -sum(c.beyond or 0.0 for c in record.classes))
    shown = dict.fromkeys(_shown_order(generator, config))
    order = {key: k for k, key in enumerate(shown)}
    result.records.sort(key=lambda record: order[record.method, record.cut])
    result.skipped = list(skipped.values())
    result.settings = InversionSettings(
        preset=str(options.get("preset", "fast")),
        perceptual=perceptual,
        encoders=list(encoders.values()),
        labels=list(names),
        has_background=background,
        reference=familiarity.reference if familiarity else None,
        seed=seed,
        options={**options, "pick": config.pick, "per_class": config.per_class, "own": config.own},
    )
    if unaided and options.get("encoder") != "none":
        result.warnings.append(
            f"{', '.join(unaided)}: no encoder of this generator is at hand, so inversion started "
            "from the average image; --encoder train makes one"
        )
    if perceptual == "none" and options.get("perceptual", "auto") == "auto":
        result.warnings.append(
            "no perceptual features are at hand, so inversion looked at pixels only; "
            "pip install 'seeingkit[perceptual]' brings some"
        )
    return result


def _shown_order(generator: Generator, config: InversionConfig) -> list[tuple[str, str]]:
    """(method, cut) in the order of the records: other cuts first, the default one last."""
    cuts = sorted(cuts_of(generator, config), key=lambda cut: cut == _usual_cut(generator))
    return [(method, cut) for cut in cuts for method in config.methods]


def _usual_cut(generator: Generator) -> str:
    return generator.boundary(generator.default_cut).name


def _labels(own: SamplerSource, rows: Sequence[int]) -> list[int] | None:
    return [int(own.labels[i % len(own.labels)]) for i in rows] if own.labels else None


def _photo_labels(
    generator: Generator, config: InversionConfig, photos: Photos
) -> list[int] | None:
    classes = len(generator.info.class_names)
    if not classes:
        return None
    if config.label is None and photos.labels is not None:
        return list(photos.labels)
    if config.label is None or config.label >= classes:
        raise UsageError(
            f"{generator.info.family} is conditional: say which class the photos are of with "
            f"--label 0 to {classes - 1}"
        )
    return [config.label] * len(photos.rows)


def _note(
    skipped: dict[tuple[str, str], SkippedItem],
    source: Literal["photo", "own"],
    items: Sequence[Skipped],
    on_bad: str,
) -> None:
    for item in items:
        if on_bad == "fail":
            raise ModelError(f"{item.item}: {item.reason}")
        skipped[source, item.item] = SkippedItem(source=source, item=item.item, reason=item.reason)


class _Album:
    """Writes the pictures of a run and makes the records that name them."""

    def __init__(
        self, run_dir: Path, names: Sequence[str], segmenter: Segmenter | None, preset: Preset
    ) -> None:
        self.run_dir, self.names, self.segmenter, self.preset = run_dir, names, segmenter, preset
        self.folder = run_dir / FOLDER
        self.seen: dict[str, tuple[str, str | None, NDArray[np.float64] | None]] = {}

    def records(
        self,
        found: Inverted,
        picked_for: Mapping[str, str | None],
        loss: LossCalibration | None,
        background: bool,
        familiarity: Familiarity | None,
        method: str,
        cut: str,
    ) -> list[InversionRecord]:
        """Write what was found of some photos; one record each."""
        if not found.inversions:
            return []
        self.folder.mkdir(parents=True, exist_ok=True)
        pictures = torch.cat([one.reconstruction for one in found.inversions])
        maps = self._maps(pictures)
        ratios = familiarity.ratio(found.images) if familiarity else None
        records = []
        for k, (item, one) in enumerate(zip(found.ids, found.inversions, strict=True)):
            photo, photo_labels, before = self._photo(item, found.images[k : k + 1])
            stem = f"{Path(photo).name.removesuffix('.photo.png')}.{method}.{cut}"
            classes = []
            reconstruction_labels = None
            if maps is not None and before is not None:
                after = areas(maps[k : k + 1], len(self.names))[0]
                classes = lost_classes(before, after, self.names, background, loss)
                reconstruction_labels = self._write_map(f"{stem}.labels.png", maps[k])
            ratio = None if ratios is None else float(ratios[k])
            records.append(
                InversionRecord(
                    image=item,
                    method=method,
                    cut=cut,
                    psnr=float(one.psnr[0]),
                    lost={record.label: record.lost for record in classes},
                    reconstruction=self._write(f"{stem}.png", _picture(one.reconstruction)),
                    photo=photo,
                    photo_labels=photo_labels,
                    reconstruction_labels=reconstruction_labels,
                    frames=self._frames(stem, one),
                    frame_steps=list(one.frames[0][0]),
                    state=self._state(stem, one),
                    picked_for=picked_for.get(item),
                    classes=classes,
                    perceptual=None if one.perceptual is None else float(one.perceptual[0]),
                    loss=float(one.loss[0]),
                    steps=int(one.steps[0]),
                    converged=bool(one.converged[0]),
                    unfamiliar=ratio,
                    unlike=ratio is not None and ratio > 1,
                )
            )
        return records

    def _maps(self, images: Tensor) -> NDArray[np.int64] | None:
        return None if self.segmenter is None else label_maps(images, self.segmenter, self.preset)

    def _photo(
        self, item: str, image: Tensor
    ) -> tuple[str, str | None, NDArray[np.float64] | None]:
        """Paths of a photo and its labels, and its class areas; written once."""
        if item not in self.seen:
            stem = _slug(item)
            labels, before = None, None
            maps = self._maps(image)
            if maps is not None:
                labels = self._write_map(f"{stem}.photo.labels.png", maps[0])
                before = areas(maps, len(self.names))[0]
            path = self._write(f"{stem}.photo.png", _picture(image))
            self.seen[item] = path, labels, before
        return self.seen[item]

    def _frames(self, stem: str, one: Inversion) -> str | None:
        frames = one.frames[0][1]
        if len(frames) < 2:
            return None
        strip = np.concatenate(list(quantise(frames).cpu().numpy()), axis=1)
        return self._write(f"{stem}.frames.png", strip)

    def _state(self, stem: str, one: Inversion) -> str:
        tensors = {"r": one.state.x, **{f"carry.{k}": v for k, v in one.state.carry.items()}}
        if one.z is not None:
            tensors["z"] = one.z
        data = safetensors.torch.save(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, {"cut": one.cut}
        )
        path = self.folder / f"{stem}.safetensors"
        path.write_bytes(data)
        return f"{FOLDER}/{path.name}"

    def _write_map(self, name: str, labels: NDArray[np.int64]) -> str:
        kind = np.uint8 if len(self.names) <= 256 else np.uint16
        return self._write(name, labels.astype(kind))

    def _write(self, name: str, pixels: NDArray[Any]) -> str:
        temporary = self.folder / f".{name}.tmp"
        Image.fromarray(pixels).save(temporary, "PNG")
        temporary.replace(self.folder / name)
        return f"{FOLDER}/{name}"


def _picture(image: Tensor) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", quantise(image)[0].cpu().numpy())


def _slug(item: str) -> str:
    """A file name for an id: readable, and different for different ids."""
    kept = "".join(c if c.isalnum() else "-" for c in item)[-40:].strip("-")
    return f"{kept or 'image'}-{hashlib.sha256(item.encode()).hexdigest()[:6]}"
