"""Sources whose fingerprint is a digest of their contents, computed on first use."""

from __future__ import annotations

from collections.abc import Callable

from seeingkit.contracts import ImageSource

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class DigestedSource(ImageSource):
    """A source that implements ``digest``; its fingerprint is the digest of all its images."""

    _fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """Digest of all images; read from the contents on the first call."""
        return self.compute_fingerprint()

    def compute_fingerprint(self, progress: Progress | None = None) -> str:
        """The fingerprint; the first call reads the contents, and tells ``progress`` how far."""
        if self._fingerprint is None:
            self._fingerprint = self.digest(range(len(self)), progress)
        return self._fingerprint
