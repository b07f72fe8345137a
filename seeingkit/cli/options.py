"""The options of the commands, each stated once: type, name, help; and ``key=value`` options.

Defaults that a config has too are looked up there (``ConfigDefault``), so that the command line
and Python cannot differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from seeingkit.errors import UsageError


class ConfigDefault:
    """The default of a field of ``Config``, looked up when it is needed (not on start-up).

    Args:
        field: a name, or that of a field within (``inversion.own``).
    """

    def __init__(self, field: str) -> None:
        self.field = field

    def __call__(self) -> Any:
        from seeingkit.runs.config import Config

        outer, _, inner = self.field.partition(".")
        default = Config.model_fields[outer].get_default(call_default_factory=True)
        return getattr(default, inner) if inner else default

    def __str__(self) -> str:
        return str(self())


def option(about: str, *names: str, default: str = "", panel: str | None = None) -> Any:
    """An option with its help.

    Args:
        about: the help.
        names: with their dashes; none: the parameter's name.
        default: the field of ``Config`` that has its default.
        panel: the group of a help page it stands in.
    """
    lookup: dict[str, Any] = {"default_factory": ConfigDefault(default)} if default else {}
    return typer.Option(*names, help=about, rich_help_panel=panel, **lookup)


def unit_numbers(text: str) -> list[int]:
    """Numbers in a list such as ``3,17,40-44``.

    Raises:
        UsageError: something that is no number and no range.

    >>> unit_numbers("3, 17,40-42")
    [3, 17, 40, 41, 42]
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise UsageError(f"{part.strip()!r} is no number; write a list as 3,17,40-44")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + 100_000:
            raise UsageError(f"{part.strip()!r} is no range; write a list as 3,17,40-44")
        found += range(first, last + 1)
    return found


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``key=value`` pairs; a value is JSON where it parses as JSON, else text.

    >>> parse_options(["a=1", "b-c=[1, 2]", "d=text"])
    {'a': 1, 'b_c': [1, 2], 'd': 'text'}

    Raises:
        UsageError: no equals sign, or a key given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UsageError(f"an option is written key=value, not {pair!r}")
        if key in found:
            raise UsageError(f"option {key!r} is given twice")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def segmenter_options(
    pairs: Sequence[str] | None, precision: str | None = None, compiled: bool = False
) -> dict[str, Any]:
    """The options of a segmenter, with how it computes among them.

    >>> segmenter_options(["size=224"], "bf16")
    {'size': 224, 'precision': 'bf16'}

    Raises:
        UsageError: as ``parse_options``, or one given both ways.
    """
    found, own = parse_options(pairs), {"precision": precision, "compile": compiled or None}
    for name, value in own.items():
        if value is not None and name in found:
            raise UsageError(f"{name} is given with --{name} and with --segmenter-option; take one")
    return found | {name: value for name, value in own.items() if value is not None}


def generator_options(
    pairs: Sequence[str] | None, edits: Sequence[Path] | None = None
) -> dict[str, Any]:
    """The options of a generator, with files of edits among them.

    >>> generator_options(["truncation=0.7"], [Path("dome2tree.safetensors")])
    {'truncation': 0.7, 'edits': ['dome2tree.safetensors']}

    Raises:
        UsageError: as ``parse_options``, or edits given both ways.
    """
    found = parse_options(pairs)
    if edits and "edits" in found:
        raise UsageError("edits are given with --edit and with --gan-option; take one of them")
    return {**found, "edits": [str(path) for path in edits]} if edits else found


GENERATOR, IMAGES, SEGMENTATION = "Generator", "Images", "Segmenter"
TESTS, INVERSION, RUN, TRACKING = "Tests and checks", "Inversion", "Run", "Tracking"
DISSECTION, ARTIFACTS, REWRITING = "Dissection", "Artifact units", "Rewriting"
SWEEPING = "Choosing the layer"
PANELS = (
    GENERATOR,
    IMAGES,
    SEGMENTATION,
    TESTS,
    INVERSION,
    DISSECTION,
    ARTIFACTS,
    REWRITING,
    SWEEPING,
    RUN,
    TRACKING,
)
"""Groups of options on a help page, in their order."""
CONTENT, PRINT = "Content", "Print"
FIGURE_PANELS = (CONTENT, PRINT)
"""Those of figures."""
EDIT, EFFECT, TRACING = "Intervention", "Effect", "Tracing"
INTERVENTION_PANELS = (TRACING, EDIT, EFFECT)
"""Those of interventions and tracings."""

generator = partial(option, panel=GENERATOR)
images = partial(option, panel=IMAGES)
segmentation = partial(option, panel=SEGMENTATION)
tests = partial(option, panel=TESTS)
inversion = partial(option, panel=INVERSION)
dissection = partial(option, panel=DISSECTION)
running = partial(option, panel=RUN)

Text = str | None
File = Path | None
Number = int | None
Texts = list[str] | None

Gan = Annotated[Text, generator("Generator: family, family:weights, or auto with --weights.")]
Weights = Annotated[File, generator("Weights file of the generator.")]
GanOption = Annotated[Texts, generator("key=value for the generator; may be repeated.")]
Edit = Annotated[
    list[Path] | None, generator("File of an edit of its weights; may be repeated, in order.")
]
Segmenter = Annotated[Text, segmentation("Segmenter: family or family:weights.")]
SegmenterOrNone = Annotated[Text, segmentation("Segmenter: family or family:weights, or none.")]
SegmenterWeights = Annotated[File, segmentation("Weights file or folder of the segmenter.")]
SegmenterOption = Annotated[Texts, segmentation("key=value for the segmenter; may be repeated.")]
Precision = Annotated[
    Text,
    segmentation(
        "Precision of the segmenter: float32, tf32 (GPU) or bf16; how many labels it changes is "
        "measured on the first batch and said."
    ),
]
Compile = Annotated[bool, segmentation("Compile the segmenter (torch.compile).", "--compile")]
RealImages = Annotated[Text, images("Real images: name, path or glob.")]
TrainingData = Annotated[Text, images("Training data of the generator.")]
DataOption = Annotated[Texts, images("key=value for the data set; may be repeated.")]
Labels = Annotated[
    Text, generator("Classes a conditional generator draws: uniform, data, or a list as 3,7.")
]
Classes = Annotated[Text, segmentation("Merge labels into a vocabulary: its name or TOML file.")]
N = Annotated[Number, images("Images per side.", "-n", "--n")]
PhotoCount = Annotated[Number, images("Invert only n of the photos.", "-n", "--n")]
Seed = Annotated[Number, running("Random seed: latents, choice of images, permutations.")]
Device = Annotated[str, running("cpu, cuda, cuda:N, mps or auto.")]
BatchSize = Annotated[int, running("Images per batch.", default="batch_size")]
PresetName = Annotated[Text, images("Preprocessing, e.g. paper, native, paper@128.", "--preset")]
OnBad = Annotated[str, images("Unreadable images: skip (exit code 3) or fail.", default="on_bad")]
Repeat = Annotated[File, running("Repeat the run of this manifest.json.", "--config")]
Out = Annotated[File, running("Run directory.")]
Title = Annotated[Text, running("Title of the report. Default: the names of what is compared.")]
TallyFile = Annotated[File, running("Write the tally to this Parquet file.")]
Store = Annotated[Text, running("Folder of finished work, or an address (s3://bucket/work).")]
Json = Annotated[bool, running("Print JSON instead of text.", "--json")]

# Tracking.
Track = Annotated[
    Text, option("Export the finished run: tensorboard, wandb or another tracker.", panel=TRACKING)
]
TrackOption = Annotated[
    Texts, option("key=value for the tracker; may be repeated.", panel=TRACKING)
]

# Tests and checks of a comparison.
Level = Annotated[float, tests("False discovery rate of the verdicts.", default="level")]
_GROUPS = "folder, FILE.csv:COLUMN, or a regular expression on names"
Groups = Annotated[Text, tests(f"Images that belong together, as frames of a film: {_GROUPS}.")]
Permutations = Annotated[
    int, tests("Permutations for the p-value; 0: none.", default="permutations")
]
Truth = Annotated[
    Text, tests("True labels of the real images: folder of label maps, data or none.")
]
_SENSITIVITY = (
    "Check for segmentation error: auto, off, scale, scale:0.5, or a second segmenter, family:FILE."
)
Sensitivity = Annotated[str, tests(_SENSITIVITY, default="sensitivity")]
Fidelity = Annotated[
    bool, tests("Also FID, KID, IS, precision, recall (extra: fidelity).", "--fidelity")
]
Paired = Annotated[
    bool,
    images("Image k of one side belongs to image k of the other: test within pairs.", "--paired"),
]
Force = Annotated[bool, tests("Compare even if n, segmenter or preset differ.", "--force")]
_GATES = "'fsd.bias_reduced > 5', 'omitted: person'"
FailIf = Annotated[Texts, tests(f"Exit with code 4 if this holds: {_GATES}; may be repeated.")]

# Inversion.
_METHODS = "z, encoder, encoder+z, layered, layered+z or layered+r"
Method = Annotated[
    Text, inversion(f"Inversion method: {_METHODS}; several as a,b; all; none (analyze only).")
]
Cut = Annotated[
    Text, inversion("Where the generator is cut: names, default, next or all; several as a,b.")
]
PerClass = Annotated[
    int, inversion("Photos to invert for each omitted class.", default="inversion.per_class")
]
_PICK = "Choice among the photos that contain the class: stratified, random, most or list."
Pick = Annotated[str, inversion(_PICK, default="inversion.pick")]
Ids = Annotated[Text, inversion("Ids of the photos to invert, as a,b (sets --pick list).")]
_PHOTOS_OF = "Classes of which photos are inverted too, omitted or not, as a,b."
PhotosOf = Annotated[Text, inversion(_PHOTOS_OF)]
Own = Annotated[int, inversion("Generator samples to invert as they are.", default="inversion.own")]
_PATCHED = "Generator samples with a foreign patch, to compare photos with; 0: no verdicts."
Patched = Annotated[int, inversion(_PATCHED, default="inversion.patched")]
_INVERSION_PRESETS = "Losses and schedule of the inversion: fast or paper."
InversionPreset = Annotated[Text, inversion(_INVERSION_PRESETS)]
PlainInversionPreset = Annotated[Text, inversion(_INVERSION_PRESETS, "--preset")]
Encoder = Annotated[
    Text, inversion("Encoder: auto, found, train, none, or an encoder file of this generator.")
]
EncoderOption = Annotated[
    Texts, inversion("key=value for an encoder that came with the generator; may be repeated.")
]
Perceptual = Annotated[Text, inversion("Perceptual features: a name, auto or none (pixels only).")]
PerceptualWeights = Annotated[File, inversion("Weights file of the perceptual features.")]
Steps = Annotated[Number, inversion("Largest number of optimisation steps.")]
InverterOption = Annotated[Texts, inversion("key=value for the method; may be repeated.")]
ImageLabel = Annotated[
    Number, generator("The one class to draw and invert, for a conditional generator.", "--label")
]

# Dissection.
Layers = Annotated[
    Text, dissection("Layers with a feature map, as a,b; or all. Default: the usual cut.")
]
Channels = Annotated[
    Text,
    dissection("Of styles (r8.conv1.style): channels, as 3,17,40-44. Default: all.", "--units"),
]
Rule = Annotated[
    str,
    dissection(
        "Rule of levels and labels: default, paper (Bau et al., ICLR 2019) or pnas (2020).",
        "--rule",
        default="dissection.preset",
    ),
]
Basis = Annotated[
    str,
    dissection(
        "Directions of the layer: units, pca, random as a control, or a .npy or .safetensors file.",
        default="dissection.basis",
    ),
]
LevelImages = Annotated[
    int,
    dissection(
        "Images of another series, from which levels come.", default="dissection.level_images"
    ),
]
Fdr = Annotated[
    float, dissection("False discovery rate of the labels of a layer.", default="dissection.fdr")
]
FixedBatchSize = Annotated[
    int,
    running(
        "No effect: images are made 16 at a time, so that counts never depend on it.",
        default="batch_size",
    ),
]
DissectedImages = Annotated[Number, images("Images to dissect.", "-n", "--n")]
DissectedData = Annotated[
    Text, images("Training data of the generator, for its segmenter and preprocessing.", "--data")
]
