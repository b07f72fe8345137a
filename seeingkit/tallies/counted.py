"""Sources that were counted elsewhere: class areas without pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from seeingkit.contracts import ImageSource, Vocabulary
from seeingkit.errors import ImageError

from .table import Tally


class CountedSource(ImageSource):
    """Images of which the class areas are known, and nothing else."""

    kind = "stored tally"

    @abstractmethod
    def stored_tally(self, vocabulary: Vocabulary) -> Tally:
        """The areas, as a tally of that vocabulary.

        Raises:
            TallyError: the areas are not of this vocabulary.
        """

    def read(self, indices: Sequence[int]) -> Tensor:
        """There are no pictures.

        Raises:
            ImageError: always.
        """
        raise ImageError(self.ids[indices[0]] if indices else self.name, "only its areas are known")
