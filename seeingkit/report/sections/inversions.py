"""The sections on inversions: classes that vanish from photos, and the methods that show it.

They are a pure function of the records in ``results.json`` and of the PNG files that these name,
read from the run directory alone. Names of classes and photos are escaped by the templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.errors import RunError
from seeingkit.results import (
    CalibrationRecord,
    ClassVanishing,
    InversionRecord,
    InversionResults,
    InversionSettings,
    Results,
)

from ..figures.charts import themed_figures, write_figure
from ..figures.depth import build_depth_chart, depth_rows
from ..pictures.inversions import Card, encode_cards
from ..pictures.uris import Level
from ..templates import Section, render
from ..words import losses
from ..words.definitions import inversion_definitions
from ..words.inversions import METHODS, VERDICTS, InversionSummary, describe_inversions
from ..words.losses import key_name, key_of, key_order, rate_rows

CARDS = 8
"""Cards of a page of inversions alone that are not folded away with the rest."""
ENOUGH = 19
"""Samples from which on 19 of 20 can be spoken of: a conformal bound needs as many."""
LEGEND = 10
"""At most so many labels are in a photo's legend."""


@dataclass(frozen=True)
class Inversions:
    """The inversions of a run, in the order in which the page shows them."""

    run_dir: Path
    settings: InversionSettings
    records: Sequence[InversionRecord]
    calibrations: Sequence[CalibrationRecord]
    vanishing: Sequence[ClassVanishing]
    groups: list[losses.PhotoGroup]
    rows: list[losses.MethodRow]
    sweep: list[losses.MethodRow]

    @staticmethod
    def of(results: Results | InversionResults, run_dir: Path | None) -> Inversions | None:
        """The inversions among the results, or None where there are none.

        Raises:
            RunError: a record's pictures have no place to be read from, or no settings say how
                they were made.
        """
        if not results.inversions and not results.calibrations:
            return None
        if run_dir is None:
            raise RunError("a page with inversions needs the run directory with their pictures")
        if results.inversion is None:
            raise RunError(
                "results.json has inversions, but not how they were made (the field inversion)"
            )
        records, calibrations = results.inversions, results.calibrations
        groups = losses.group_photos(records)
        rows = losses.method_rows(groups, records, calibrations)
        sweep = losses.sweep_rows(rows, records)
        return Inversions(
            run_dir,
            results.inversion,
            records,
            calibrations,
            results.vanishing,
            groups,
            rows,
            sweep,
        )

    @property
    def first(self) -> losses.MethodRow:
        """Method and cut that are shown first."""
        key = next(iter(key_order(self.records)), self.rows[0].key)
        return next(row for row in self.rows if row.key == key)

    @property
    def words(self) -> InversionSummary:
        """The findings as sentences."""
        return describe_inversions(self.records, self.calibrations, self.vanishing)

    @property
    def more_often(self) -> list[str]:
        """The classes that vanish more often than drawn ones, by what is shown first."""
        shown = (record for record in self.vanishing if key_of(record) == self.first.key)
        return [record.label for record in shown if record.verdict == "more often"]

    def cards(self, level: Level) -> list[Card]:
        """The photos with their pictures, at one level of detail."""
        return encode_cards(self.run_dir, self.groups, self.settings, level)

    def write_figures(self, folder: Path) -> None:
        """Write the figure of a sweep over cuts, if there was one."""
        if self.sweep:
            write_figure(build_depth_chart(depth_rows(self.sweep)), folder, "inversion-depth")

    def context(self, cards: Sequence[Card]) -> dict[str, Any]:
        """What the template of a card needs beside the card: ``with`` in ``cards.html.j2``."""
        keys = list(dict.fromkeys(key_of(r) for card in cards for r in card.group.records))
        return {
            "names": {key: key_name(key) for key in keys},
            "order": [key for key in key_order(self.records) if key in keys],
            "key_of": key_of,
            "samples": {key: losses.calibration_of(key, self.calibrations) for key in keys},
            "settings": self.settings,
            "legend": LEGEND,
            "cards": cards,
        }

    def photos(self, cards: Sequence[Card]) -> Section:
        """The photos of a page of inversions alone."""
        values = {"cards": cards, "cards_shown": CARDS, "photos": len(self.groups)}
        body = render("inversions.html.j2", **values, **{"with": self.context(cards)})
        return Section("vanishes", "What vanishes", body, appendix=False)

    def method(self) -> Section:
        """The section "Inversion": methods compared, depth of the cut, calibration."""
        depth = depth_rows(self.sweep)
        methods = dict.fromkeys(row.key[0] for row in self.rows)
        body = render(
            "inversion_methods.html.j2",
            rows=self.rows,
            first=self.first,
            sweep=self.sweep,
            figures=themed_figures(lambda layout: build_depth_chart(depth, layout))
            if depth
            else {},
            calibrations=self.calibrations,
            names={key_of(c): key_name(key_of(c)) for c in self.calibrations},
            names_of=key_name,
            enough=ENOUGH,
            key_of=key_of,
            focus={label for group in self.groups for label in group.focus},
            settings=self.settings,
            methods=[(name, METHODS[name]) for name in methods if name in METHODS],
            definitions=inversion_definitions(),
            vanishing=self.vanishing,
            listed=rate_rows(self.vanishing),
            verdicts=VERDICTS,
        )
        return Section("inversion", "Inversion", body)
