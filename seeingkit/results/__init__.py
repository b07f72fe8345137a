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
    CompositionTest,
    ConditionResult,
    FSDResult,
    GroupsResult,
    KernelDistance,
    PairResult,
    PairsResult,
    PairVerdict,
    PowerResult,
    Results,
    ScenesResult,
    UncoveredImage,
)
from .generators import (
    ClassDifference,
    ClassQuestion,
    DistanceDifference,
    GeneratorResult,
    GeneratorsResults,
    RealControl,
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
from .paired import PairedClass, PairedImages, PairedResult
from .records import (
    BACKGROUND_NAMES,
    OMITTED_BELOW,
    SCHEMA_VERSION,
    AreaClaim,
    ClassResult,
    FidelityResult,
    ImagesClaim,
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
    claims_of,
    images_lost,
    is_background,
    only_composition,
)

__all__ = [
    "BACKGROUND_NAMES",
    "OMITTED_BELOW",
    "SCHEMA_VERSION",
    "VANISHED",
    "AreaClaim",
    "CalibrationRecord",
    "ClassCalibration",
    "ClassDifference",
    "ClassQuestion",
    "ClassResult",
    "ClassVanishing",
    "CompositionTest",
    "ConditionResult",
    "DistanceDifference",
    "FSDResult",
    "FidelityResult",
    "GeneratorResult",
    "GeneratorsResults",
    "GroupsResult",
    "ImagesClaim",
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
    "PairedClass",
    "PairedImages",
    "PairedResult",
    "PairsResult",
    "PowerResult",
    "RateVerdict",
    "RealControl",
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
    "claims_of",
    "images_lost",
    "is_background",
    "only_composition",
]
