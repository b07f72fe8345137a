"""The command ``compare-units``: finished runs of ``dissect`` → differences of counts → report.

Guarantees: runs are compared only where their labels mean the same (rule, segmenter, preset,
pixels, groups), on the same number of images each, and only if their labels follow from the stored
numbers; faults are one error, before anything is computed; nothing but the runs' files is needed.
"""

from __future__ import annotations

import hashlib
import html
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.analyses.dissection.contrasts import LEVEL
from seeingkit.analyses.dissection.counts import DRAWS
from seeingkit.analyses.dissection.panels import count_table, difference_table
from seeingkit.errors import Faults, RunError, UsageError, printable
from seeingkit.report import (
    rebuild_report,
    unit_contrasts_html,
    unit_counts_chart,
    with_cautions,
)
from seeingkit.report.runfiles import read_record
from seeingkit.results import Frame, Manifest, UnitContrastsResults
from seeingkit.system.writing import is_begun, json_text, make_folder, write_text

from .dissected import Dissected, read_dissected
from .manifest import Clock, now
from .tables import write_frame
from .unit_panels import panels_of

if TYPE_CHECKING:
    import altair as alt

COMMAND = "compare-units"
_ALIKE = {
    "rule": "--rule",
    "fdr": "--fdr",
    "least_iou": "--rule",
    "side": "--rule",
    "level_images": "--level-images",
    "group": "the same version",
    "preset": "--preset",
}
"""Settings that must be the same, and the option that makes them so."""


@dataclass(frozen=True)
class UnitContrasts:
    """A finished comparison of units; a notebook shows who has surely more of which class."""

    path: Path
    results: UnitContrastsResults

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def counts(self) -> Frame:
        """A table of the units of each layer by category and class, with intervals."""
        return count_table(self.results.panels)

    @property
    def differences(self) -> Frame:
        """A table of all differences: interval, p, claimed."""
        return difference_table(self.results.panels)

    def plot(self, panel: int = 0) -> alt.TopLevelMixin:
        """The figure of a panel, as an Altair chart."""
        return unit_counts_chart(self.results.panels[panel])

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        found = [one for panel in self.results.panels for one in panel.differences]
        sure = sum(one.claimed for one in found)
        tests = sum(panel.tests for panel in self.results.panels)
        return f"UnitContrasts({sure:,} of {tests:,} differences are sure, {str(self.report)!r})"

    def _repr_html_(self) -> str:
        where = html.escape(printable(self.report))
        return f"{unit_contrasts_html(self.results)}<p>report: {where}</p>"


def compare_units(
    *runs: str | Path,
    layers: str | Sequence[str] = (),
    level: float = LEVEL,
    out: str | Path | None = None,
    title: str | None = None,
) -> UnitContrasts:
    """Compare layers by the labels of their units: of one dissection, or of several.

    Several runs are compared at each layer that they share (whatever their bases), or, where one
    layer of each is left, at that one, whatever its name; one run among its layers. Networks are
    fixed: what varies is the images (``seeingkit.analyses.dissection.contrasts``).

    Args:
        runs: directories of finished runs of ``dissect``, of the rule ``default``.
        layers: names, to compare only these; default: all.
        level: probability of any wrong claim among the differences of a panel, at most.
        out: the directory of the comparison; default ``runs/units-<names>``.
        title: of the report.

    Raises:
        RunError: a run is not there, not a dissection, or its files do not fit together.
        UsageError: runs whose labels do not mean the same, or nothing to compare.

    >>> compare_units("runs/progan", "runs/stylegan2").differences  # doctest: +SKIP
    >>> compare_units("photos")
    Traceback (most recent call last):
    seeingkit.errors.RunError: photos: not a run, for it holds no results.json; ...
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    if not runs:
        raise UsageError("name one or more runs of dissect: seeingkit compare-units RUN RUN")
    if not 0 < level < 1:
        raise UsageError(f"--level {level:g}: is a probability between 0 and 1")
    clock = Clock()
    with clock.time("read"):
        found = read_all(runs)
        check_alike(found)
        asked = {"runs": [str(run) for run in runs], "layers": names, "level": level}
        folder = _folder(found, out, asked)
    started = now()
    with clock.time("compare"):
        panels, n, warnings = panels_of(found, names, level)
    first = found[0].results
    results = with_cautions(
        UnitContrastsResults(
            segmenter=first.segmenter,
            networks=[one.results.generator for one in found],
            n=n,
            level=level,
            draws=DRAWS,
            group=first.settings.group,
            rule=first.settings.rule,
            preset=first.settings.preset,
            panels=panels,
            skipped=[item for one in found for item in one.results.skipped],
            warnings=warnings,
        )
    )
    make_folder(folder)
    config = {"command": COMMAND, **asked, "title": title}
    manifest = Manifest(
        seeingkit=version("seeingkit"),
        command=command_of(asked, folder),
        config=config,
        hashes={str(one.path): one.digest for one in found},
        timings=clock.seconds,
        started=started,
        finished=now(),
    )
    _write(folder, "manifest.json", manifest.model_dump(mode="json"))
    _write(folder, "results.json", results.model_dump(mode="json"))
    made = UnitContrasts(folder, results)
    write_frame(folder / "counts.parquet", made.counts)
    write_frame(folder / "differences.parquet", made.differences)
    rebuild_report(folder)
    return made


def read_all(runs: Sequence[str | Path]) -> list[Dissected]:
    """All runs, or one error with the faults of all of them.

    Raises:
        RunError: a run is not there, not a dissection, or its files do not fit together.
    """
    faults = Faults()
    found = [faults.find(lambda run=run: read_dissected(Path(run))) for run in runs]  # type: ignore[misc]
    faults.raise_if_any()
    places = [one.path.resolve() for one in found if one is not None]
    if twice := [str(path) for path in places if places.count(path) > 1]:
        raise UsageError(f"{twice[0]} is named twice")
    return [one for one in found if one is not None]


def check_alike(found: Sequence[Dissected]) -> None:
    """Check that the labels of the runs mean the same.

    Raises:
        UsageError: naming two runs and what differs.
    """
    faults, first = Faults(), found[0]
    for one in found:
        if not one.results.settings.tested:
            rule = one.results.settings.rule
            faults.add(
                UsageError(
                    f"{one.path}: labels of the rule {rule!r} have no null; compare runs of the "
                    "rule default"
                )
            )
        if one.results.settings.of_class and not one.results.settings.drawn and len(found) > 1:
            again = f"seeingkit dissect --config {one.path / 'manifest.json'} --out NEW"
            faults.add(
                UsageError(
                    f"{one.path}: does not say which classes it drew; make it again: {again}"
                )
            )
    for one in found[1:]:
        for what, own, other, hint in _settings(first, one):
            if own != other:
                faults.add(
                    UsageError(
                        f"{first.path} and {one.path} differ in {what}: {own} and {other}; "
                        f"dissect both with the same ({hint})"
                    )
                )
    faults.raise_if_any()


def _settings(first: Dissected, second: Dissected) -> list[tuple[str, Any, Any, str]]:
    sides = first, second
    rules = [one.results.settings for one in sides]
    found = [
        (name.replace("_", " "), getattr(rules[0], name), getattr(rules[1], name), hint)
        for name, hint in _ALIKE.items()
    ]
    models = [one.results.segmenter for one in sides]
    weights = [model.weights_sha256 or "" for model in models]
    found.append(("segmenter", models[0].name, models[1].name, "--segmenter"))
    if models[0].name == models[1].name:
        found.append(("the segmenter's weights", *(w[:12] for w in weights), "--segmenter"))  # type: ignore[arg-type]
    options = [json.dumps(model.options, sort_keys=True) for model in models]
    found.append(("the segmenter's options", *options, "--segmenter-option"))  # type: ignore[arg-type]
    drawn = [_told(one.results.settings.drawn) for one in sides]
    found.append(("classes drawn", *drawn, "--labels"))  # type: ignore[arg-type]
    classes = [str(one.classes or "none") for one in sides]
    found.append(("merged classes", *classes, "--classes"))  # type: ignore[arg-type]
    return found


def _told(classes: Sequence[str], most: int = 8) -> str:
    """The classes of a generator, in turn; of many the first ones and a name of them all."""
    if len(classes) <= most:
        return ", ".join(classes) or "none"
    digest = hashlib.sha256(json.dumps(list(classes)).encode()).hexdigest()[:6]
    return f"{', '.join(classes[:2])} … ({len(classes):,} classes, list {digest})"


def _folder(found: Sequence[Dissected], out: str | Path | None, asked: dict[str, Any]) -> Path:
    """The folder of a comparison: new, empty, or of the same comparison.

    Raises:
        RunError: it holds something else.
    """
    names = "-".join(one.path.resolve().name for one in found)[:80]
    folder = Path("runs") / f"units-{names}" if out is None else Path(out)
    if is_begun(folder, "manifest.json", "run"):
        earlier = read_record(folder / "manifest.json", Manifest).config
        if earlier.get("command") != COMMAND or any(earlier.get(k) != v for k, v in asked.items()):
            raise RunError(f"{folder}: holds another run; name another --out or delete it")
    return folder


def command_of(asked: dict[str, Any], folder: Path) -> str:
    """A command that repeats a comparison.

    >>> command_of({"runs": ["a", "b c"], "layers": [], "level": 0.05}, Path("out"))
    "seeingkit compare-units a 'b c' --out out"
    """
    words = ["seeingkit", COMMAND, *asked["runs"]]
    if asked["layers"]:
        words += ["--layers", ",".join(asked["layers"])]
    if asked["level"] != LEVEL:
        words += ["--level", f"{asked['level']:g}"]
    return shlex.join([*words, "--out", str(folder)])


def _write(folder: Path, name: str, content: dict[str, Any]) -> None:
    write_text(folder / name, json_text(content, indent=2) + "\n")
