"""``TallyIdentity``: everything that changes the numbers of a tally, and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

TALLY_SCHEMA = 3
"""Version of the content of a chunk and of the rules of counting; 3 added seal and range."""


class TallyIdentity(BaseModel):
    """Everything that changes a tally's numbers. Tallies compare if all but ``source`` agree.

    Attributes:
        source: fingerprint of the images and of how they were prepared.
        segmenter: family, weights hash, options and code of the annotator.
        preset: preprocessing; empty where it is unknown.

    >>> len(TallyIdentity(source="1f…", segmenter={"family": "mine"}, preset={"size": 64}).key())
    32
    """

    model_config = ConfigDict(frozen=True)

    source: str
    segmenter: dict[str, Any]
    preset: dict[str, Any]
    schema_version: int = TALLY_SCHEMA

    def key(self, *more: object) -> str:
        """Hash of the identity (and of anything more, such as a chunk's range), 32 hex digits."""
        text = json.dumps([self.model_dump(mode="json"), *more], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
