"""Real photos of a class, and each generator's reconstruction of the same photo.

They are read from the runs in a suite's cells and written as files of the site, each once: a
picture's name is the hash of its content. What a reconstruction has lost of a class is marked on
the photo as the run's own report marks it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seeingkit.errors import RunError
from seeingkit.results import InversionRecord, LostClass

from ..pictures import gallery
from ..pictures.files import read_labels, read_photo, resolve
from ..pictures.inversions import difference_map
from ..pictures.marks import LOST, vanished_uri
from ..pictures.uris import Level, is_exact, photo_uri
from ..words.losses import key_name, key_of, loss_of, photo_words
from .inverted import InvertedRun, Pictures, read_inverted
from .reading import RESULTS, Suite
from .standings import ClassKey, Ranking

PHOTOS = 6
"""At most so many photos of a class and data set are shown."""
LEVEL = Level(256, 85)
"""Size and quality of a picture of the site."""
EXAMPLES = 6
"""At most so many real examples of a class that no inverted photo shows."""


@dataclass(frozen=True)
class Shown:
    """One generator's reconstruction of a photo.

    Attributes:
        picture: path of the reconstruction in the site; marked: of the photo with what is lost
            marked, empty without maps of labels.
        said: what became of the class, in words; vanished: at least half of its area is gone.
        method: how the photo was inverted.
    """

    generator: str
    picture: str
    marked: str
    said: str
    vanished: bool
    method: str
    psnr: float


@dataclass
class PhotoRow:
    """One photo and its reconstructions.

    Attributes:
        photo: path in the site; width, height: of the original in pixels.
        area: of the class in the photo, percent.
        shown: one a generator, in the order of the ranking.
        without: the generators that have no reconstruction of it.
    """

    image: str
    photo: str
    width: int
    height: int
    pixelated: bool
    area: float
    shown: list[Shown]
    without: list[str]


@dataclass
class ClassPhotos:
    """The photos of a class in one set of real images, those it was picked for first."""

    data: str
    rows: list[PhotoRow]
    others: int


@dataclass
class SuitePhotos:
    """All inverted photos of a suite.

    Attributes:
        notes: of cells whose runs are not where the suite names them.
    """

    suite: Suite
    pictures: Pictures
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._runs: dict[str, list[InvertedRun]] = defaultdict(list)  # by the real images
        self._order: dict[str, list[str]] = {}
        self._examples: dict[str, list[tuple[str, str]]] | None = None
        for ranking in self.suite.rankings:
            data = ranking.record.data
            known = self._order.setdefault(data, [])
            known += [
                row.name
                for row in ranking.rows
                if row.name not in known and row.kind == "generator"
            ]
            for generator, folder in self._folders(ranking):
                run = read_inverted(generator, folder)
                if run is not None:
                    self._runs[data].append(run)

    def _folders(self, ranking: Ranking) -> Iterator[tuple[str, Path]]:
        for row in ranking.rows:
            if not row.folder or row.kind != "generator":
                continue
            folder = resolve(self.suite.folder, row.folder)
            if (folder / RESULTS).is_file():
                yield row.name, folder
            elif row.state == "done":
                note = f"{row.folder} is not there, so its pictures are not shown."
                self.notes += [] if note in self.notes else [note]

    def of_class(self, key: ClassKey) -> list[ClassPhotos]:
        """The photos of a class in each set of real images that has some.

        Raises:
            RunError: a picture is missing, damaged, or does not fit its record.
        """
        if key.twin:  # records of inversions name classes by their labels
            return []
        found = []
        for data, runs in self._runs.items():
            images = _images(runs, key.label)
            if images:
                rows = [self._row(image, key.label, data) for image in images[:PHOTOS]]
                found.append(ClassPhotos(data, rows, len(images) - len(rows)))
        return found

    def examples(self, key: ClassKey) -> list[tuple[str, str]]:
        """Real images with a class, from the galleries of the runs: id, and path in the site.

        Raises:
            RunError: a gallery is damaged.
        """
        if self._examples is None:
            self._examples = dict(_examples(self._galleries()))
        found = [] if key.twin else self._examples.get(key.label, [])
        return [(name, self.pictures.add(uri)) for name, uri in found]

    def _galleries(self) -> Iterator[Path]:
        """The runs with a gallery, of one ranking for each set of real images."""
        seen: set[str] = set()
        for ranking in self.suite.compared:
            if ranking.record.data not in seen:
                seen.add(ranking.record.data)
                folders = (folder for _, folder in self._folders(ranking))
                yield from (folder for folder in folders if (folder / gallery.FOLDER).is_dir())

    def _row(self, image: str, label: str, data: str) -> PhotoRow:
        runs: dict[str, InvertedRun] = {}
        for run in self._runs[data]:
            if image in run.groups:
                runs.setdefault(run.generator, run)
        first = next(iter(runs.values()))
        record = first.groups[image].first
        photo = read_photo(first.folder, record.photo)
        height, width = photo.shape[:2]
        loss = loss_of(record, label)
        order = self._order[data]
        return PhotoRow(
            image=image,
            photo=self.pictures.add(photo_uri(photo, LEVEL)),
            width=width,
            height=height,
            pixelated=is_exact(width, height),
            area=0.0 if loss is None else loss.photo_area,
            shown=[self._shown(runs[name], image, label) for name in order if name in runs],
            without=[name for name in order if name not in runs],
        )

    def _shown(self, run: InvertedRun, image: str, label: str) -> Shown:
        group = run.groups[image]
        record = group.first
        loss = loss_of(record, label)
        return Shown(
            generator=run.generator,
            picture=self.pictures.add(
                photo_uri(read_photo(run.folder, record.reconstruction), LEVEL)
            ),
            marked=self._marked(run, record, label),
            said=photo_words(group, label).removeprefix(f"{label} ") if loss else "not measured",
            vanished=loss is not None and loss.vanished,
            method=key_name(key_of(record)),
            psnr=record.psnr,
        )

    def _marked(self, run: InvertedRun, record: InversionRecord, label: str) -> str:
        """The photo with what is lost of the class hatched on it, or nothing without its maps."""
        names = run.settings.labels
        numbers = [k for k, name in enumerate(names) if name == label]
        if record.photo_labels is None or record.reconstruction_labels is None or not numbers:
            return ""
        before = read_labels(run.folder, record.photo_labels, len(names))
        after = read_labels(run.folder, record.reconstruction_labels, len(names))
        if before.shape != after.shape:
            raise RunError(
                f"{run.folder / record.reconstruction_labels} is {after.shape[1]} × "
                f"{after.shape[0]} pixels, the labels of its photo {before.shape[1]} × "
                f"{before.shape[0]}: they do not fit each other"
            )
        places = difference_map(before, after, numbers)
        photo = read_photo(run.folder, record.photo)
        return self.pictures.add(vanished_uri(photo, places == LOST))


def _examples(folders: Iterable[Path]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Real examples of each class as data URIs, from the first gallery that has some."""
    seen: set[str] = set()
    for folder in folders:
        for entry in gallery.Gallery.load(folder).classes:
            if entry.real and entry.label not in seen:
                seen.add(entry.label)
                shown = entry.real[:EXAMPLES]
                yield entry.label, [(one.id, photo_uri(one.image, LEVEL)) for one in shown]


def _images(runs: Iterable[InvertedRun], label: str) -> list[str]:
    """Photos that show a class: those picked for it, then those that most generators inverted."""
    found: dict[str, list[tuple[bool, LostClass]]] = defaultdict(list)
    for run in runs:
        for image, group in run.groups.items():
            loss = loss_of(group.first, label)
            if loss is not None and group.first.photo:
                found[image].append((label in group.picked, loss))

    def order(image: str) -> tuple[bool, int, float, str]:
        picked = any(wanted for wanted, _ in found[image])
        return not picked, -len(found[image]), -found[image][0][1].photo_area, image

    return sorted(found, key=order)
