"""The golden cases of interventions: recorded from the original code, see their README."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import seeingkit
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.contracts import Generator, Segmenter
from tests.helpers.colours import ColourSegmenter

ROOT = Path(__file__).parents[2]
CASES = (
    "progan-minichurches-64_colours",
    "progan-minichurches-64_upernet",
    "progan-plain-r32_colours",
)


@dataclass(frozen=True)
class Case:
    """One case with its models."""

    folder: Path
    about: dict[str, Any]
    generator: Generator
    segmenter: Segmenter

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        with np.load(self.folder / f"{name}.npz") as stored:
            return {key: stored[key] for key in stored.files}

    def subject(self, layer: str, batch: int = 20) -> Subject:
        """The layer as the original has it: pictures are not rounded to 8 bits."""
        return Subject(self.generator, self.segmenter, layer, batch=batch, eight_bits=False)

    def sample(self, role: str, many: int) -> Sample:
        return Sample(range(many), seed=self.about["seeds"][role])

    def label(self, name: object) -> int:
        return self.segmenter.vocabulary.index(str(name))


def case(shared: Path, name: str) -> Case:
    """A golden case of the shared folder."""
    folder = shared / "golden" / "dissection" / name
    about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    weights = about["weights"]
    inside = weights.startswith("shared/")
    path = shared / weights.removeprefix("shared/") if inside else ROOT / weights
    generator = seeingkit.load_generator("progan", weights=path, latents="sequence")
    if about["segmenter"] == "upernet":
        segmenter = seeingkit.load_segmenter("upernet:minichurches")
    else:
        segmenter = ColourSegmenter(**about["segmenter"])
    return Case(folder, about, cast("Generator", generator), segmenter)
