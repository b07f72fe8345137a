"""The options of the commands, each stated once: type, name, help; and ``key=value`` options.

Defaults that a config has too are looked up there (``ConfigDefault``), so that the command line
and Python cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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


def option(about: str, *names: str, default: str = "") -> Any:
    """An option with its help; ``default``: the field of ``Config`` that has its default."""
    lookup: dict[str, Any] = {"default_factory": ConfigDefault(default)} if default else {}
    return typer.Option(*names, help=about, **lookup)


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


Text = str | None
File = Path | None
Number = int | None
Texts = list[str] | None

Gan = Annotated[Text, option("Generator: family, family:weights, or auto with --weights.")]
Weights = Annotated[File, option("Weights file of the generator.")]
GanOption = Annotated[Texts, option("key=value for the generator; may be repeated.")]
Segmenter = Annotated[Text, option("Segmenter: family or family:weights.")]
SegmenterOrNone = Annotated[Text, option("Segmenter: family or family:weights, or none.")]
SegmenterWeights = Annotated[File, option("Weights file or folder of the segmenter.")]
SegmenterOption = Annotated[Texts, option("key=value for the segmenter; may be repeated.")]
RealImages = Annotated[Text, option("Real images: name, path or glob.")]
TrainingData = Annotated[
    Text, option("Training data of the generator (default: the set that its weights name).")
]
DataOption = Annotated[Texts, option("key=value for the data set; may be repeated.")]
Labels = Annotated[
    Text, option("Classes a conditional generator draws: uniform, data, or a list as 3,7.")
]
Classes = Annotated[Text, option("Merge labels into a common vocabulary: its name or TOML file.")]
N = Annotated[Number, option("Images per side.", "--n")]
PhotoCount = Annotated[Number, option("Invert only n of the photos.", "--n")]
Seed = Annotated[Number, option("Random seed: latents, choice of images, permutations.")]
Device = Annotated[str, option("cpu, cuda, cuda:N, mps or auto.")]
BatchSize = Annotated[int, option("Images per batch.", default="batch_size")]
PresetName = Annotated[Text, option("Preprocessing, e.g. paper, native, paper@128.", "--preset")]
OnBad = Annotated[str, option("Unreadable images: skip (exit code 3) or fail.", default="on_bad")]
Repeat = Annotated[File, option("Repeat the run of this manifest.json.", "--config")]
Out = Annotated[File, option("Run directory.")]
TallyFile = Annotated[File, option("Write the tally to this Parquet file.")]
Store = Annotated[File, option("Folder of finished work (default: cache).")]
Json = Annotated[bool, option("Print JSON instead of text.", "--json")]

# Tests and checks of a comparison.
Level = Annotated[float, option("False discovery rate of the verdicts.", default="level")]
_GROUPS = "folder, FILE.csv:COLUMN, or a regular expression on names"
Groups = Annotated[Text, option(f"Images that belong together, as frames of a film: {_GROUPS}.")]
Permutations = Annotated[
    int, option("Permutations for the p-value; 0: none.", default="permutations")
]
Truth = Annotated[
    Text, option("True labels of the real images: folder of label maps, data or none.")
]
_SENSITIVITY = (
    "Check for segmentation error: auto, off, scale, scale:0.5, or a second segmenter, family:FILE."
)
Sensitivity = Annotated[str, option(_SENSITIVITY, default="sensitivity")]
Fidelity = Annotated[
    bool, option("Also FID, KID, IS, precision, recall (extra: fidelity).", "--fidelity")
]
Paired = Annotated[
    bool,
    option("Image k of one side belongs to image k of the other: test within pairs.", "--paired"),
]
Force = Annotated[bool, option("Compare even if n, segmenter or preset differ.", "--force")]
_GATES = "'fsd.bias_reduced > 5', 'omitted: person'"
FailIf = Annotated[Texts, option(f"Exit with code 4 if this holds: {_GATES}; may be repeated.")]

# Inversion.
_METHODS = "z, encoder, encoder+z, layered, layered+z or layered+r (default)"
Method = Annotated[
    Text, option(f"Inversion method: {_METHODS}; several as a,b; all; none (analyze only).")
]
Cut = Annotated[
    Text, option("Where the generator is cut: names, default, next, all; two cuts: default,next.")
]
PerClass = Annotated[
    int, option("Photos to invert for each omitted class.", default="inversion.per_class")
]
_PICK = "Choice among the photos that contain the class: stratified, random, most or list."
Pick = Annotated[str, option(_PICK, default="inversion.pick")]
Ids = Annotated[Text, option("Ids of the photos to invert, as a,b (sets --pick list).")]
Own = Annotated[int, option("Generator samples to invert as they are.", default="inversion.own")]
_PATCHED = "Generator samples with a foreign patch, to compare photos with; 0: no verdicts."
Patched = Annotated[int, option(_PATCHED, default="inversion.patched")]
_INVERSION_PRESETS = "Losses and schedule of the inversion: fast (default) or paper."
InversionPreset = Annotated[Text, option(_INVERSION_PRESETS)]
PlainInversionPreset = Annotated[Text, option(_INVERSION_PRESETS, "--preset")]
Encoder = Annotated[
    Text, option("Encoder: auto, found, train, none, or an encoder file of this generator.")
]
Perceptual = Annotated[Text, option("Perceptual features: a name, auto or none (pixels only).")]
PerceptualWeights = Annotated[File, option("Weights file of the perceptual features.")]
Steps = Annotated[Number, option("Largest number of optimisation steps.")]
InverterOption = Annotated[Texts, option("key=value for the method; may be repeated.")]
ImageLabel = Annotated[
    Number, option("The one class to draw and invert, for a conditional generator.", "--label")
]
