"""``TallyRecord``: where the numbers of a tally come from, for people and reports."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from seeingkit.contracts import Annotator, ClassifierInfo, ImageSource, ModelInfo
from seeingkit.results import ConfusionTable, LabelAgreement, ModelRecord, SourceRecord
from seeingkit.specs import Preset


class TallyRecord(BaseModel):
    """The models and images behind a tally. It changes no number; ``TallyIdentity`` holds those.

    Attributes:
        source: the images.
        generator: the model that made them, or None for images of another origin.
        generator_code: version of its adapter's code.
        class_names: classes of a conditional generator, by number.
        segmenter: the model that counted.
        preset: the preprocessing, or None where it is unknown.
        counted: the areas were counted elsewhere, and no picture was seen here.
        confusion: of a classifier that counted, on labelled images.
        class_list: the class list that labels were merged by, if any.
        agreement: of a segmenter in another precision, or compiled, with itself in float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: SourceRecord | None = None
    generator: ModelRecord | None = None
    generator_code: str = ""
    class_names: tuple[str, ...] = ()
    segmenter: ModelRecord | None = None
    preset: Preset | None = None
    counted: bool = False
    confusion: ConfusionTable | None = None
    class_list: dict[str, Any] | None = None
    agreement: LabelAgreement | None = None

    @classmethod
    def of(cls, source: ImageSource, annotator: Annotator | None = None) -> TallyRecord:
        """The record of a source and the annotator that counts it."""
        made_by = source.generator
        info = None if annotator is None else annotator.info
        return cls(
            source=source_record(source),
            generator=None if made_by is None else model_record(made_by, source.name),
            generator_code="" if made_by is None else made_by.code,
            class_names=() if made_by is None else made_by.class_names,
            segmenter=None if info is None else model_record(info),
            confusion=info.confusion if isinstance(info, ClassifierInfo) else None,
            preset=source.preset,
        )

    def to_dict(self) -> dict[str, Any]:
        """The known parts as JSON: source, segmenter, and generator if there is one."""
        found: dict[str, Any] = {}
        if self.source is not None:
            source = self.source.model_dump(mode="json")
            found["source"] = {**source.pop("details"), **source}
        for role, model in (("generator", self.generator), ("segmenter", self.segmenter)):
            if model is not None:
                found[role] = model.model_dump(mode="json")
        if self.class_list is not None:
            found["class_list"] = self.class_list
        return found


def model_record(info: ModelInfo, name: str | None = None) -> ModelRecord:
    """A model as ``results.json`` describes it.

    Args:
        info: of a loaded generator or annotator.
        name: default: its family.
    """
    known = {key: getattr(info, key, None) for key in ModelRecord.model_fields if key != "name"}
    return ModelRecord(name=name or info.family, **known)


def source_record(source: ImageSource) -> SourceRecord:
    """A source of images as ``results.json`` describes it; further keys go into ``details``.

    So does what gives classes to its images, and how these are called.
    """
    found, own = source.describe(), ImageSource.describe(source)
    seed = found.pop("seed", None)
    known = {
        key: type(usual)(found.pop(key, None) or usual)
        for key, usual in own.items()
        if key != "seed"
    }
    aside = {"left_out": [tuple(one) for one in source.left_out], "notes": list(source.notes)}
    if source.classes_by:
        found["classes_by"] = source.classes_by
    if source.class_names:
        found["class_names"] = list(source.class_names)
    return SourceRecord(**known, **aside, seed=seed, details=found)
