"""The shape of ``results.json`` and ``manifest.json``: the contract with whoever reads a run.

Field names and units are stable within one ``schema_version``; areas are percent of an image,
presences are shares in [0, 1], FSD is percent². ``None`` means "not defined here", never zero.
Importing this never imports torch.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Verdict = Literal["omitted", "reduced", "excess", "no evidence"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FSDResult(_Record):
    """Fréchet Segmentation Distance and what is needed to read it.

    Attributes:
        value: the plug-in distance, as published (percent²) = mean_term + cov_term.
        floor: what two disjoint samples of the real images would give at these sample sizes.
        bias_reduced: half-sample Richardson value; can be slightly negative.
        p_value: permutation test of "real and generated are the same distribution".
        permutations: how many permutations that p-value rests on.
        floor_halves: n of each disjoint half from which the floor was measured.
    """

    value: float
    mean_term: float
    cov_term: float
    unit: Literal["percent^2"] = "percent^2"
    floor: float | None = None
    bias_reduced: float | None = None
    p_value: float | None = None
    permutations: int = 0
    floor_halves: int | None = None


class ClassResult(_Record):
    """One label: how much of it the real and the generated images show.

    Attributes:
        real_area, generated_area: mean share of the image, in percent.
        relative_difference: (generated - real) / real, or None where real is 0.
        ci_low, ci_high: 95 % interval of the relative difference (Fieller), None if unbounded.
        real_presence, generated_presence: share of images with at least one pixel, in [0, 1].
        p_value: two-sided test of no difference; q_value: after Benjamini-Hochberg.
        omitted: q_value at or below the level, and at least half of the area gone.
    """

    label: str
    category: str
    index: int
    real_area: float
    generated_area: float
    relative_difference: float | None
    ci_low: float | None
    ci_high: float | None
    real_presence: float
    generated_presence: float
    p_value: float
    q_value: float
    omitted: bool
    verdict: Verdict


class SkippedItem(_Record):
    """An image that was not used."""

    source: Literal["real", "generated"]
    item: str
    reason: str


class SourceRecord(_Record):
    """Where one side's images came from."""

    name: str
    kind: str
    images: int
    fingerprint: str
    seed: int | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class ModelRecord(_Record):
    """A generator or segmenter, as far as a reader needs it."""

    name: str
    family: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    parameters: int = 0
    resolution: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class InversionRecord(_Record):
    """One photo and its reconstruction (filled by the inversion stage)."""

    image: str
    method: str
    psnr: float
    lost: dict[str, float]
    reconstruction: str


class Results(_Record):
    """Everything that a comparison found: ``results.json``."""

    schema_version: int = SCHEMA_VERSION
    fsd: FSDResult
    n_real: int
    n_generated: int
    segmenter: ModelRecord
    generator: ModelRecord | None
    data: SourceRecord
    generated: SourceRecord
    preset: dict[str, Any]
    level: float = 0.05
    classes: list[ClassResult]
    inversions: list[InversionRecord] = Field(default_factory=list)
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


class Manifest(_Record):
    """How a run was made: ``manifest.json``. ``config`` alone is enough to repeat it."""

    schema_version: int = SCHEMA_VERSION
    seeingkit: str
    command: str
    config: dict[str, Any]
    versions: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)
    timings: dict[str, float] = Field(default_factory=dict)
    started: str
    finished: str | None = None
