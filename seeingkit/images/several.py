"""Several sources one after the other, as one.

Guarantees: ids stay unique (where two sources have the same id, the later one gets its source's
name in front); there are true labels only where all sources have the same ones.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
from collections.abc import Sequence

import torch
from torch import Tensor

from seeingkit.contracts import ImageSource, Skipped
from seeingkit.errors import SourceError


class SeveralSources(ImageSource):
    """The pictures of some sources, in their order.

    Args:
        sources: at least one; all give pictures of one size.
        name: for people.

    Raises:
        SourceError: no source, or ids that cannot be made unique.
    """

    kind = "several sources"

    def __init__(self, sources: Sequence[ImageSource], name: str) -> None:
        if not sources:
            raise SourceError("no source of images was given")
        self.sources, self.name = tuple(sources), name
        ids: dict[str, None] = {}
        for source in self.sources:
            for item in source.ids:
                unique = item if item not in ids else f"{source.name}:{item}"
                if unique in ids:
                    raise SourceError(f"{source.name}: image {item!r} is given twice")
                ids[unique] = None
        self.ids = tuple(ids)
        names = {tuple(source.label_names) for source in self.sources}
        self.label_names = names.pop() if len(names) == 1 else ()
        prints = [source.labels_fingerprint for source in self.sources]
        self.labels_fingerprint = None if None in prints else json.dumps(prints)
        first = self.sources[0].preset
        self.preset = first if all(source.preset == first for source in self.sources) else None
        self.left_out = tuple(one for source in self.sources for one in source.left_out)
        self.notes = tuple(dict.fromkeys(note for source in self.sources for note in source.notes))
        listed = {source.class_names for source in self.sources if source.classes_by}
        self._one_list_of_classes = len(listed) <= 1
        if self._one_list_of_classes:
            self.class_names = listed.pop() if listed else ()
        else:
            note = "the sources call their classes differently, so that no image has a class"
            self.notes = (*self.notes, note)
        given = dict.fromkeys(source.classes_by for source in self.sources if source.classes_by)
        self.classes_by = " and ".join(given) if self._one_list_of_classes else ""
        self.code = " ".join(dict.fromkeys(s.code for s in self.sources if s.code))
        self._starts = [0, *itertools.accumulate(len(s) for s in self.sources)]
        text = json.dumps([s.fingerprint for s in self.sources])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def read(self, indices: Sequence[int]) -> Tensor:
        """As the sources' ``read``."""
        if not len(indices):
            return self.sources[0].read([])
        return torch.cat([self.sources[s].read([k]) for s, k in map(self._place, indices)])

    def load(self, indices: Sequence[int]) -> tuple[Tensor | None, list[int], list[Skipped]]:
        """As the sources' ``load``; skipped images are named by their ids here."""
        images, good, skipped = super().load(indices)
        fine = set(good)
        bad = [self.ids[i] for i in indices if i not in fine]
        return images, good, [s._replace(item=i) for i, s in zip(bad, skipped, strict=True)]

    def read_labels(self, indices: Sequence[int]) -> Tensor:
        """As the sources' ``read_labels``, where all have the same ``label_names``."""
        if not self.label_names:
            return super().read_labels(indices)
        if not len(indices):
            return self.sources[0].read_labels([])
        return torch.cat([self.sources[s].read_labels([k]) for s, k in map(self._place, indices)])

    def stored_side(self, index: int) -> int | None:
        """As the ``stored_side`` of the source that the image is from."""
        source, place = self._place(index)
        return self.sources[source].stored_side(place)

    def condition(self, index: int) -> int | None:
        """As the ``condition`` of the source that the image is from, where all have one list."""
        if not self._one_list_of_classes:
            return None
        source, place = self._place(index)
        return self.sources[source].condition(place)

    def close(self) -> None:
        """Close all of them."""
        for source in self.sources:
            source.close()

    def _place(self, index: int) -> tuple[int, int]:
        source = bisect.bisect_right(self._starts, index) - 1
        return source, index - self._starts[source]
