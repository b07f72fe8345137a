"""``InterventionConfig``: the validated settings of an intervention. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seeingkit.errors import Faults, UsageError, all_faults

Ranking = Literal["optimised", "single", "iou"]
"""How units are ranked: by an optimisation of their causal effect together, by the effect of each
alone, or by IoU in a run of ``dissect``."""
_Share = Annotated[float, Field(ge=0, le=1)]
MOST_SEARCHED = 1_000_000
"""Images of a series: the next one begins there."""


class InterventionConfig(BaseModel):
    """Which units are changed how, and what is measured.

    Attributes:
        layer: name or alias of a boundary.
        units: numbers of units; choose: how many are chosen for the class instead, ranked ``by``.
        insert: units are set to values instead of to 0.
        label: the class that is asked for.
        values: inserted, one for each unit; empty: the mean of each unit where the class is.
        box: part of the image where units are changed: top, left, bottom, right from 0 to 1; None:
            everywhere.
        random: sets of as many random units, as control.
        curve: numbers of units for a curve of the effect on the class.
        context: insert at every so manieth cell, for a map of where the class can grow; 0: not.
        context_classes: the table of contexts also for every other class that changes.
        each: images on which each unit of the layer is changed alone; 0: not.
        search: images of each further series that are searched for units, values and cells.
        dissection: folder of a run of ``dissect`` of the layer, which ranks units by IoU.

    >>> InterventionConfig(layer="r8.conv1", units=(3, 17)).random
    5
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str = ""
    units: tuple[Annotated[int, Field(ge=0)], ...] = ()
    choose: int | None = Field(default=None, ge=1)
    by: Ranking = "optimised"
    insert: bool = False
    label: str | None = None
    values: tuple[float, ...] = ()
    box: tuple[_Share, _Share, _Share, _Share] | None = None
    random: int = Field(default=5, ge=0, le=1000)
    curve: tuple[Annotated[int, Field(ge=1)], ...] = ()
    context: int = Field(default=0, ge=0)
    context_classes: bool = False
    each: int = Field(default=0, ge=0, le=MOST_SEARCHED)
    search: int = Field(default=200, ge=1, le=MOST_SEARCHED)
    dissection: str | None = None

    def check(self) -> None:
        """Settings that do not go together are refused, all of them at once.

        Raises:
            UsageError: names what is missing or too much.
        """
        faults = Faults()
        for fault in self._faults():
            faults.add(UsageError(fault))
        faults.raise_if_any()

    def _faults(self) -> Iterator[str]:
        if not self.layer:
            yield "name a layer with --layer; seeingkit weights inspect FILE lists them"
        if bool(self.units) == (self.choose is not None):
            yield "name units with --units, or choose some with --choose; one of the two"
        if self.values and (not self.insert or self.choose is not None):
            yield "values are for an insertion of units that are named: --units and --insert"
        elif self.values and len(self.values) != len(self.units):
            units = len(self.units)
            yield f"{len(self.values)} values for {units} units; give one, or one for each"
        if self.label is None and (asked := next(self._need_a_class(), None)):
            yield f"{asked}: name the class that it is for with --class"
        if self.choose is None and self.by != "optimised":
            yield f"--by {self.by} is for units that are chosen; give --choose"
        if self.choose is not None and self.by == "single" and not self.each:
            yield "--by single: give --each, the images on which each unit is measured alone"
        if self.choose is not None and self.by == "iou" and self.dissection is None:
            yield "--by iou: give --dissection, the folder of a run of dissect"
        if self.dissection is not None and self.by != "iou" and not self.curve:
            yield "--dissection is for --by iou or for --curve; give one of them"
        if self.each == 1:
            yield "--each 1: an effect needs at least two images"
        if self.context and self.box is not None:
            yield "--context inserts at every cell, so --box says nothing there; leave one out"
        if self.context_classes and not self.context:
            yield "--context-classes is for a map; give --context"
        if self.curve and max(self.curve) > self.longest:
            yield (
                f"--curve {max(self.curve)}: there are {self.longest} units to be ablated; choose "
                "more, or leave it out"
            )

    def _need_a_class(self) -> Iterator[str]:
        if self.choose is not None:
            yield "to choose units"
        if self.insert and not self.values:
            yield "an insertion without values"
        if self.curve:
            yield "a curve"
        if self.context:
            yield "a map of insertions"
        if self.dissection is not None:
            yield "a ranking by IoU"

    @property
    def longest(self) -> int:
        """How many units the longest ranking of the curve has, as far as is known without a layer.

        >>> InterventionConfig(units=(3, 17)).longest
        2
        """
        if self.each or self.dissection is not None:
            return MOST_SEARCHED
        return self.choose or len(self.units)


def intervention_config(**settings: Any) -> InterventionConfig:
    """Validated settings.

    Raises:
        UsageError: names every setting that has a fault.

    >>> intervention_config(layer="r8.conv1", units=(3,)).layer
    'r8.conv1'
    """
    try:
        return InterventionConfig.model_validate(settings)
    except ValidationError as error:
        faults = Faults()
        for fault in all_faults(error):
            faults.add(UsageError(f"{fault.where}: {fault.reason}"))
        raise UsageError(str(faults)) from error
