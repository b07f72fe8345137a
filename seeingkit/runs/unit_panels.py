"""Which layers of which runs are compared with each other, on which images, by which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seeingkit.analyses.dissection.claims import LEAST_GROUPS
from seeingkit.analyses.dissection.contrasts import LEVEL, contrasts
from seeingkit.analyses.dissection.counts import Labelled
from seeingkit.analyses.dissection.grouping import groups_of
from seeingkit.analyses.dissection.panels import panel_of
from seeingkit.analyses.dissection.series import shared_groups
from seeingkit.errors import UsageError
from seeingkit.results import ComparedLayer, DissectionResults, UnitPanel

from .dissected import Dissected


@dataclass(frozen=True, eq=False)
class Member:
    """A layer of a run, by its name in the comparison."""

    run: Dissected
    layer: Labelled
    name: str

    @property
    def boundary(self) -> str:
        """Its boundary."""
        return self.run.boundary(self.layer.name)


def panels_of(
    runs: Sequence[Dissected], names: Sequence[str], level: float = LEVEL
) -> tuple[list[UnitPanel], int, list[str]]:
    """The panels of a comparison, the images of each run, and what was left out.

    Args:
        runs: alike in rule, segmenter and preset.
        names: layers to compare; none: all.
        level: probability of any wrong claim in a panel.

    Raises:
        UsageError: no such layer, or nothing to compare.

    ::

        panels_of([run], [])[0][0].differences
    """
    called = names_of(runs) if len(runs) > 1 else [""]
    chosen = [_chosen(run, names, name) for run, name in zip(runs, called, strict=True)]
    groups = _groups(chosen)
    numbers, span, n, warnings = _common(runs)
    panels = []
    for title, members in groups.items():
        ordered = members if len(runs) == 1 else _by_step(members)
        cut = [_cut(one.layer, span, numbers) for one in ordered]
        layers = [_record(member) for member in ordered]
        panels.append(panel_of(contrasts(cut, level=level), layers, title, n))
    compared = {id(member) for members in groups.values() for member in members}
    left = {one.layer.name for own in chosen for one in own if id(one) not in compared}
    if left:
        warnings.append(f"Not in all runs, so not compared: {', '.join(sorted(left))}.")
    return panels, n, warnings


def _groups(chosen: Sequence[Sequence[Member]]) -> dict[str, list[Member]]:
    """The members of each panel by its title."""
    first = chosen[0][0].run
    if len(chosen) == 1:
        if len(chosen[0]) < 2:
            raise UsageError(
                f"{first.path}: one layer is nothing to compare; name another run, or dissect "
                "more layers"
            )
        return {first.results.generator.name: list(chosen[0])}
    if any(len(members) > 1 for members in chosen):
        return _shared(chosen)
    alone = [members[0] for members in chosen]
    if len({one.boundary for one in alone}) == 1:
        return {alone[0].boundary: alone}
    named = [replace(one, name=f"{one.name} {one.layer.name}") for one in alone]
    return {", ".join(one.boundary for one in alone): named}


def own_panel(layers: Sequence[Labelled], results: DissectionResults) -> UnitPanel | None:
    """The layers of one dissection beside each other; None of one layer, or without a null.

    ::

        own_panel(labelled_layers(found, results), results)
    """
    if len(layers) < 2 or not results.settings.tested:
        return None
    name = results.generator.name
    records = [
        ComparedLayer(name=one.name, generator=name, layer=one.name, units=one.units)
        for one in layers
    ]
    return panel_of(contrasts(layers), records, name, results.layers[0].images)


def names_of(runs: Sequence[Dissected]) -> list[str]:
    """A name of each run: of its generator (with the basis, where runs have several), else of its
    folder, else its path."""
    bases = [run.results.settings.basis for run in runs]
    plain = [run.results.generator.name for run in runs]
    based = [
        f"{name} ({basis})" if len(set(bases)) > 1 else name
        for name, basis in zip(plain, bases, strict=True)
    ]
    folders = [run.path.resolve().name for run in runs]
    for names in (based, folders):
        if len(set(names)) == len(names):
            return names
    return [str(run.path) for run in runs]


def _chosen(run: Dissected, names: Sequence[str], name: str) -> list[Member]:
    found = [Member(run, layer, name or layer.name) for layer in run.layers]
    if not names:
        return found
    kept = [one for one in found if {one.layer.name, one.boundary} & set(names)]
    if not kept:
        known = ", ".join(one.layer.name for one in found)
        raise UsageError(f"{run.path} has no layer {', '.join(names)}; it has {known}")
    return kept


def _shared(chosen: Sequence[Sequence[Member]]) -> dict[str, list[Member]]:
    """The layers that all runs have, by boundary, in the order of the first run."""
    by_name = [{one.boundary: one for one in members} for members in chosen]
    shared = [name for name in by_name[0] if all(name in own for own in by_name)]
    if not shared:
        told = "; ".join(
            f"{members[0].run.path}: {', '.join(m.layer.name for m in members)}"
            for members in chosen
        )
        raise UsageError(f"the runs share no layer; choose one of each with --layers ({told})")
    return {name: [own[name] for own in by_name] for name in shared}


def _by_step(members: Sequence[Member]) -> list[Member]:
    """Snapshots of a training in its order, where all weights state a step of one unit."""
    steps = [member.run.step for member in members]
    if len({None if step is None else step.unit for step in steps} | {None}) != 2 or None in steps:
        return list(members)
    order = np.argsort([0 if s is None else s.value for s in steps], kind="stable").tolist()
    return [members[k] for k in order]


def _common(runs: Sequence[Dissected]) -> tuple[NDArray[np.int64], int, int, list[str]]:
    """Numbers of the groups that all layers have, groups of a bin, the images in them, and what was
    left out."""
    least = min(run.results.n for run in runs)
    classes = runs[0].results.settings.drawn
    sizes = np.array([len(group) for group in groups_of(least, range(len(classes)))])
    every = [layer.series for run in runs for layer in run.layers]
    span = max(own.span for own in every)
    coarse = [own.coarser(span) for own in every]
    if any(run.results.n != least for run in runs):
        end = _whole(runs, least, span)
        coarse = [own.at(own.groups[own.groups < end]) for own in coarse]
        shared = shared_groups(coarse)
        warnings = [
            f"The runs have unlike numbers of images; compared are the first "
            f"{sizes[shared].sum():,} of each, so counts may differ from those of the runs."
        ]
    else:
        shared, warnings = shared_groups(coarse), []
        if any(len(own.groups) > len(shared) for own in coarse):
            warnings.append("Groups of images that some run could not use were left out of all.")
    return shared, span, int(sizes[shared].sum()), warnings


def _cut(layer: Labelled, span: int, numbers: NDArray[np.int64]) -> Labelled:
    return replace(layer, series=layer.series.coarser(span).at(numbers))


def _whole(runs: Sequence[Dissected], least: int, span: int) -> int:
    """Groups of the whole bins of ``span`` groups that are the same images in all runs, the
    smallest of which has ``least``.

    Raises:
        UsageError: there are none.
    """
    size, classes = runs[0].results.settings.group, len(runs[0].results.settings.drawn) or 1
    whole = least // (size * classes) * classes // span * span
    if whole < (1 if span == 1 else LEAST_GROUPS * span):
        fewest = min(runs, key=lambda run: run.results.n)
        of = f" of each of {classes:,} classes" if classes > 1 else ""
        groups = 1 if span == 1 else LEAST_GROUPS * span
        enough = -(-groups // classes) * size * classes
        raise UsageError(
            f"{fewest.path}: {least:,} images are fewer than {enough // classes}{of}, so too few "
            f"of its groups are those of the other runs; dissect {enough:,} or more, or as many in "
            "all runs"
        )
    return whole


def _record(member: Member) -> ComparedLayer:
    return ComparedLayer(
        name=member.name,
        run=str(member.run.path),
        generator=member.run.results.generator.name,
        layer=member.layer.name,
        units=member.layer.units,
    )
