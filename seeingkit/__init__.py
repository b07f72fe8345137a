"""seeingkit: see what an image generator cannot draw.

The public names below are imported on first use; importing this package never imports torch.

>>> import seeingkit
>>> analysis = seeingkit.analyze("progan", "photos/", weights="church.pth")  # doctest: +SKIP
>>> analysis.comparison.omitted  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_MODULES = {
    "analyze": "runs.analyze",
    "Analysis": "runs.analyze",
    "compare": "analyses.comparison.compare",
    "fsd": "analyses.comparison.compare",
    "Comparison": "analyses.comparison.compare",
    "compare_generators": "analyses.comparison.generators",
    "GeneratorsComparison": "analyses.comparison.generators",
    "Monitor": "runs.monitor",
    "TrainingCheck": "results.monitoring",
    "compare_units": "runs.compare_units",
    "UnitContrasts": "runs.compare_units",
    "artifacts": "runs.artifacts",
    "ArtifactSearch": "runs.artifacts",
    "assess": "runs.assess",
    "Assessment": "runs.assess",
    "dissect": "runs.dissect",
    "Dissection": "runs.dissect",
    "tally": "tallies",
    "Tally": "tallies",
    "FSD": "statistics",
    "load_generator": "models.loading",
    "load_segmenter": "models.loading",
    "load_annotator": "models.loading",
    "load_features": "models.loading",
    "load_encoder": "models.encoders",
    "invert": "analyses.inversion",
    "load_inverter": "analyses.inversion",
    "trace": "runs.trace",
    "rewrite": "runs.rewrite",
    "repair": "runs.repair",
    "sweep": "runs.sweep",
    "WeightEdit": "models.weightedits",
    "RewrittenGenerator": "models.weightedits",
    "intervene": "runs.interventions",
    "Interventions": "runs.interventions",
    "Inversion": "contracts",
    "open_images": "images",
    "run": "models.edits",
    "UnitEdit": "models.edits",
    "AddEdit": "models.edits",
    "StagedAdapter": "models.staged",
    "AutoStaged": "models.autostaged",
}

if TYPE_CHECKING:
    from .analyses.comparison.compare import Comparison, compare, fsd
    from .analyses.comparison.generators import GeneratorsComparison, compare_generators
    from .analyses.inversion import invert, load_inverter
    from .contracts import Inversion
    from .images import open_images
    from .models.autostaged import AutoStaged
    from .models.edits import AddEdit, UnitEdit, run
    from .models.encoders import load_encoder
    from .models.loading import load_annotator, load_features, load_generator, load_segmenter
    from .models.staged import StagedAdapter
    from .models.weightedits import RewrittenGenerator, WeightEdit
    from .results.monitoring import TrainingCheck
    from .runs.analyze import Analysis, analyze
    from .runs.artifacts import ArtifactSearch, artifacts
    from .runs.assess import Assessment, assess
    from .runs.compare_units import UnitContrasts, compare_units
    from .runs.dissect import Dissection, dissect
    from .runs.interventions import Interventions, intervene
    from .runs.monitor import Monitor
    from .runs.repair import repair
    from .runs.rewrite import rewrite
    from .runs.sweep import sweep
    from .runs.trace import trace
    from .statistics import FSD
    from .tallies import Tally, tally

__all__ = [
    "FSD",
    "AddEdit",
    "Analysis",
    "ArtifactSearch",
    "Assessment",
    "AutoStaged",
    "Comparison",
    "Dissection",
    "GeneratorsComparison",
    "Interventions",
    "Inversion",
    "Monitor",
    "RewrittenGenerator",
    "StagedAdapter",
    "Tally",
    "TrainingCheck",
    "UnitContrasts",
    "UnitEdit",
    "WeightEdit",
    "analyze",
    "artifacts",
    "assess",
    "compare",
    "compare_generators",
    "compare_units",
    "dissect",
    "fsd",
    "intervene",
    "invert",
    "load_annotator",
    "load_encoder",
    "load_features",
    "load_generator",
    "load_inverter",
    "load_segmenter",
    "open_images",
    "repair",
    "rewrite",
    "run",
    "sweep",
    "tally",
    "trace",
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'seeingkit' has no attribute {name!r}")
    found = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
