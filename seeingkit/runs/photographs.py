"""What a finished run with inverted photos gives to Python: tables of losses, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from seeingkit.analyses.inversion.album import show_records
from seeingkit.analyses.inversion.tables import loss_table, vanishing_table
from seeingkit.results import Frame, InversionResults, Results

from .directory import RunDirectory

if TYPE_CHECKING:
    from PIL import Image


class _Finished(Protocol):
    @property
    def run(self) -> RunDirectory: ...
    @property
    def results(self) -> Results | InversionResults: ...


class InvertedPhotos:
    """The inverted photos of a finished run that has ``run`` and ``results``."""

    @property
    def losses(self: _Finished) -> Frame:
        """A table of how much of each class every photo lost; areas in percent of the image."""
        return loss_table(self.results)

    @property
    def vanishing(self: _Finished) -> Frame:
        """A table of the classes that vanish from photos, beside the rates of drawn ones."""
        return vanishing_table(self.results)

    def show(
        self: _Finished, images: Sequence[str] | None = None, *, gain: float = 1.0
    ) -> Image.Image:
        """Photo | reconstruction | difference of inverted photos, as ``Inversion.show``.

        Args:
            images: ids of photos, as ``losses`` names them; default: the first 8 reconstructions.
            gain: of the difference.

        Raises:
            UsageError: no such photo, or nothing to show.
            RunError: a picture of the run is missing or damaged.
        """
        return show_records(self.run.path, self.results.inversions, images, gain=gain)
