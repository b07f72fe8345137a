"""The static site of a suite: one folder that opens offline, from a file or from any server.

The same suite gives the same bytes. Files appear whole or not at all; a site is written over a
former one, of which nothing stays that is not in the new one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from seeingkit.errors import RunError, StorageError, printable
from seeingkit.system.progress import progress_bar
from seeingkit.system.writing import atomic_write, is_begun, make_folder

from ..page import PAGE
from ..pictures.files import resolve
from .classpages import class_page
from .generatorpages import generator_page
from .inverted import Pictures
from .photos import SuitePhotos
from .places import Places
from .rankingpages import index_page, ranking_page
from .reading import Suite, read_suite

LIST = "files.txt"
"""The files of a site, one a line; a folder without it is never written over."""


def write_site(suite_folder: Path, out: Path) -> Path:
    """Write the site of a suite::

        write_site(Path("suites/churches"), Path("suites/churches/site"))

    It holds ``index.html``, a page for each ranking (where there are several), class and generator,
    copies of the reports of all cells, and the pictures of inverted photos.

    Args:
        suite_folder: of the suite, finished or not.
        out: a folder that is new, empty, or holds a former site.

    Returns:
        path of the first page.

    Raises:
        RunError: the folder is no suite, a file of it is missing, damaged or does not fit, or
            ``out`` holds something else.
        StorageError: a file cannot be written.
    """
    suite = read_suite(suite_folder)
    former = _former(out)
    make_folder(out)
    places = Places.of(suite)
    planned = [*places.classes, *places.generators, *places.reports, *places.rankings]
    pages = (places.classes, places.generators, places.reports, places.rankings)
    begun = {path for one in pages for path in one.values()}
    # Before the first page: a site whose writing was killed must be known as one of ours.
    _write(out, LIST, "".join(f"{path}\n" for path in sorted({*former, *begun, LIST})))
    written: list[str] = []
    with progress_bar("site", len(planned), "pages") as bar:
        for path, content in _files(suite, places):
            _write(out, path, content)
            written.append(path)
            bar.advance(0 if path.startswith("pictures/") else 1)
    _write(out, LIST, "".join(f"{path}\n" for path in sorted([*written, LIST])))
    for path in sorted(former - {*written, LIST}):
        _remove(out, path)
    return out / "index.html"


def _files(suite: Suite, places: Places) -> Iterator[tuple[str, str | bytes]]:
    """Every file of the site by its path, one in memory at a time."""
    pictures = Pictures()
    photos = SuitePhotos(suite, pictures)
    for key, path in places.classes.items():
        shown = photos.of_class(key)
        examples = [] if shown else photos.examples(key)
        yield from pictures.taken()
        yield path, class_page(suite, key, places, shown, examples)
    for entry in suite.results.generators:
        yield places.generators[entry.name], generator_page(suite, entry, places)
    for (ranking, generator), path in places.reports.items():
        yield path, _report(suite, ranking, generator)
    if len(suite.rankings) > 1:
        for one in suite.rankings:
            yield places.rankings[one.name], ranking_page(suite, one, places)
    yield "index.html", index_page(suite, places, photos.notes)


def _report(suite: Suite, ranking: str, generator: str) -> str:
    """The report of a cell with a way back to the site above its first line."""
    rows = next(one.rows for one in suite.rankings if one.name == ranking)
    folder = next(row.folder for row in rows if row.name == generator and row.folder)
    path = resolve(suite.folder, f"{folder}/{PAGE}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    title = html.escape(printable(suite.title))
    back = f'<p><a href="../../index.html">← {title}</a></p>'
    found = re.search(r"<header\b[^>]*>", text)
    if found is None:  # a report of another form is shown as it is
        return text
    return text[: found.end()] + "\n  " + back + text[found.end() :]


def _former(out: Path) -> set[str]:
    """The files of a former site in the folder."""
    if not is_begun(out, LIST, "site of a suite"):
        return set()
    path = out / LIST
    return {line for line in path.read_text(encoding="utf-8").splitlines() if line}


def _write(out: Path, path: str, content: str | bytes) -> None:
    with atomic_write(out / path) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def _remove(out: Path, path: str) -> None:
    """Remove a file of a former site, and its folder where it was the last one."""
    file = (out / path).resolve()
    if not file.is_relative_to(out.resolve()):
        raise RunError(f"{out / LIST} names {path!r}, which is not inside {out}; remove that line")
    try:
        file.unlink(missing_ok=True)
        if file.parent != out.resolve() and not any(file.parent.iterdir()):
            file.parent.rmdir()
    except OSError as error:
        raise StorageError(f"{file} cannot be removed: {error.strerror}", error.errno) from error
