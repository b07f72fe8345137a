"""The pages of a site, their file names, and links from one to another.

A file name is made of a name from a file and holds nothing but letters, digits, dot, dash and
underscore; no two pages share one, on file systems that do not tell upper case from lower case too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from .reading import Suite
from .standings import ClassKey

LONGEST = 60
"""Characters of a file name that are kept of a name."""


def file_names(names: Sequence[str]) -> list[str]:
    """File names for names, each of them different; without a suffix.

    >>> file_names(["church/day", "a b", "A B", "<script>", "…"])
    ['church-day', 'a-b', 'A-B-2', 'script', 'page']
    """
    used: set[str] = set()
    found = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:LONGEST] or "page"
        made, number = stem, 1
        while made.lower() in used:
            number += 1
            made = f"{stem}-{number}"
        used.add(made.lower())
        found.append(made)
    return found


@dataclass(frozen=True)
class Places:
    """Paths in the site, by names.

    Attributes:
        reports: of copied reports, by ranking and generator.
    """

    rankings: dict[str, str]
    classes: dict[ClassKey, str]
    generators: dict[str, str]
    reports: dict[tuple[str, str], str] = field(default_factory=dict)

    @staticmethod
    def of(suite: Suite) -> Places:
        """The pages that a suite has."""
        rankings = [ranking.name for ranking in suite.rankings]
        keys = list(dict.fromkeys(h.key for r in suite.rankings for h in r.classes))
        labels = [key.label if not key.twin else f"{key.label} {key.twin + 1}" for key in keys]
        generators = [each.name for each in suite.results.generators]
        stems = file_names(rankings), file_names(labels), file_names(generators)
        reports = {}
        own = dict(zip(generators, stems[2], strict=True))
        for ranking, stem in zip(suite.rankings, stems[0], strict=True):
            for row in ranking.rows:
                known = row.folder and row.name in own
                if known and (suite.folder / row.folder / "report.html").is_file():
                    reports[ranking.name, row.name] = f"reports/{stem}/{own[row.name]}.html"
        only = len(suite.rankings) == 1
        return Places(
            rankings={
                name: "index.html" if only else f"rankings/{stem}.html"
                for name, stem in zip(rankings, stems[0], strict=True)
            },
            classes={k: f"classes/{s}.html" for k, s in zip(keys, stems[1], strict=True)},
            generators={n: f"generators/{s}.html" for n, s in own.items()},
            reports=reports,
        )


@dataclass(frozen=True)
class Links:
    """Links from one page to the others; each is empty where there is no such page.

    Attributes:
        base: the way up to the site's folder: nothing or ``../``.
    """

    places: Places
    base: str

    @property
    def index(self) -> str:
        """To the first page."""
        return f"{self.base}index.html"

    def _to(self, place: str | None) -> str:
        return "" if place is None else self.base + place

    def ranking(self, name: str) -> str:
        """To the page of a ranking."""
        return self._to(self.places.rankings.get(name))

    def generator(self, name: str) -> str:
        """To the page of a generator."""
        return self._to(self.places.generators.get(name))

    def of_class(self, key: ClassKey) -> str:
        """To the page of a class."""
        return self._to(self.places.classes.get(key))

    def report(self, ranking: str, generator: str) -> str:
        """To the report of a generator in a ranking."""
        return self._to(self.places.reports.get((ranking, generator)))
