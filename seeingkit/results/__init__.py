"""The schema of ``results.json`` and ``manifest.json``: the contract with whoever reads a run.

Field names and units are stable within one ``schema_version``; areas are percent of an image,
presences are shares in [0, 1], FSD is percent². ``None`` means "not defined here", never zero.
Importing this never imports torch.

::

    from seeingkit.results import Results

    results = Results.model_validate_json(Path("run/results.json").read_text(encoding="utf-8"))
    omitted = [record.label for record in results.classes if record.omitted]
"""

from .comparison import (
    ConditionResult,
    FSDResult,
    KernelDistance,
    PairResult,
    PairsResult,
    PairVerdict,
    PowerResult,
    Results,
    ScenesResult,
    UncoveredImage,
)
from .inversion import (
    VANISHED,
    CalibrationRecord,
    ClassCalibration,
    ClassVanishing,
    InversionRecord,
    InversionResults,
    InversionSettings,
    LostClass,
    RateVerdict,
    ReferenceRate,
)
from .records import (
    BACKGROUND_NAMES,
    OMITTED_BELOW,
    SCHEMA_VERSION,
    ClassResult,
    FidelityResult,
    Interval,
    Manifest,
    ModelRecord,
    Record,
    ResolutionResult,
    SegmenterClass,
    SegmenterShare,
    SideResolution,
    SkippedItem,
    SourceRecord,
    Verdict,
    images_lost,
    is_background,
)

__all__ = [
    "BACKGROUND_NAMES",
    "OMITTED_BELOW",
    "SCHEMA_VERSION",
    "VANISHED",
    "CalibrationRecord",
    "ClassCalibration",
    "ClassResult",
    "ClassVanishing",
    "ConditionResult",
    "FSDResult",
    "FidelityResult",
    "Interval",
    "InversionRecord",
    "InversionResults",
    "InversionSettings",
    "KernelDistance",
    "LostClass",
    "Manifest",
    "ModelRecord",
    "PairResult",
    "PairVerdict",
    "PairsResult",
    "PowerResult",
    "RateVerdict",
    "Record",
    "ReferenceRate",
    "ResolutionResult",
    "Results",
    "ScenesResult",
    "SegmenterClass",
    "SegmenterShare",
    "SideResolution",
    "SkippedItem",
    "SourceRecord",
    "UncoveredImage",
    "Verdict",
    "images_lost",
    "is_background",
]
