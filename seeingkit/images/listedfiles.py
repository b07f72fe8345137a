"""Files whose contents were listed: a picture's name is right only while they are the same.

Guarantee: before the first hash of a picture is known, a file that was replaced since it was listed
is noticed; from then on the hash tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.errors import SourceError
from seeingkit.system.digests import Stamp, file_stamp


class ListedFiles:
    """The files of a source, as they were when they were listed.

    ``ListedFiles(["a.tar"]).check(0)``

    Args:
        paths: of the files; to be made before they are listed.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        self._then = [self._state(path) for path in self.paths]

    @staticmethod
    def _state(path: str) -> Stamp:
        # without the time of change of its links and permissions
        stamp = file_stamp(path)
        return () if stamp is None else (*stamp[:2], stamp[3])

    def check(self, number: int) -> None:
        """Refuse a file that was replaced; one that is gone is for its reader to name.

        Raises:
            SourceError: it was.
        """
        now = self._state(self.paths[number])
        if now and now != self._then[number]:
            raise SourceError(
                f"{self.paths[number]}: was replaced after its contents were listed; run again "
                "when it no longer changes"
            )
