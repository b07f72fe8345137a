"""``ArtifactsConfig``: the validated settings of a search for artifact units. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

RankingName = Literal["ablation", "images", "marks"]


class ArtifactsConfig(BaseModel):
    """Where artifact units are searched, how they are ranked, and what is tested.

    Attributes:
        layer: boundary with units; empty: the generator's usual cut.
        units: numbers of units that are ablated together, each tested; a level for all tests.
        ranking: ``ablation``: distance from the real images after ablating the unit alone;
            ``images``: that of the images in which the unit is strongest; ``marks``: agreement of
            the unit's map with painted regions.
        marks: the file of painted regions, for ``marks``.
        search: images of the search, of a series of their own.
        random: random sets of as many units, as control.
        alpha: strength of the ablation, 1: units are set to 0.
        features: registered perceptual features that the distance is taken in; empty: areas of
            classes (FSD).

    >>> ArtifactsConfig(layer="r8.conv1").units
    (5,)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str = ""
    units: tuple[int, ...] = (5,)
    ranking: RankingName = "ablation"
    marks: str | None = None
    search: int = Field(default=200, ge=100)
    random: int = Field(default=10, ge=2, le=200)
    alpha: float = Field(default=1.0, gt=0, le=1)
    features: str = ""

    @field_validator("units")
    @classmethod
    def _numbers_of_units(cls, units: tuple[int, ...]) -> tuple[int, ...]:
        if not units or min(units) < 1:
            raise ValueError("give numbers of units from 1, as 1,5,20")
        return tuple(sorted(set(units)))
