"""Settings of ``seeingkit assess``. Never imports torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator


class AssessmentConfig(BaseModel):
    """Settings of an assessment beside models and images.

    Attributes:
        wanted: classes that are to appear at matching places; empty: those of the copied region.

    >>> AssessmentConfig(wanted=("tree", "tree")).wanted
    ('tree',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wanted: tuple[str, ...] = ()

    @field_validator("wanted")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(name.strip() for name in names):
            raise ValueError("a class without a name")
        return tuple(dict.fromkeys(name.strip() for name in names))
