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


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``key=value`` pairs; a value is JSON where it parses as JSON, else text.

    >>> parse_options(["a=1", "b-c=[1, 2]", "d=text"])
    {'a': 1, 'b_c': [1, 2], 'd': 'text'}

    Raises:
        UsageError: no equals sign, or a key given twice.
    """
    from seeingkit.errors import UsageError

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


Gan = Annotated[
    str | None, typer.Option(help="Generator: family, family:weights, or auto with --weights.")
]
Weights = Annotated[Path | None, typer.Option(help="Weights file of the generator.")]
GanOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the generator; may be repeated.")
]
Segmenter = Annotated[str | None, typer.Option(help="Segmenter: family or family:weights.")]
SegmenterOrNone = Annotated[
    str | None, typer.Option(help="Segmenter: family or family:weights, or none.")
]
SegmenterWeights = Annotated[
    Path | None, typer.Option(help="Weights file or folder of the segmenter.")
]
SegmenterOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the segmenter; may be repeated.")
]
RealImages = Annotated[str | None, typer.Option(help="Real images: name, path or glob.")]
TrainingData = Annotated[
    str | None,
    typer.Option(help="Training data of the generator (default: the set that its weights name)."),
]
DataOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the data set; may be repeated.")
]
Labels = Annotated[
    str | None,
    typer.Option(help="Classes a conditional generator draws: uniform, data, or a list as 3,7."),
]
Classes = Annotated[
    str | None, typer.Option(help="Merge labels into a common vocabulary: its name or TOML file.")
]
N = Annotated[int | None, typer.Option("--n", help="Images per side.")]
PhotoCount = Annotated[int | None, typer.Option("--n", help="Invert only n of the photos.")]
Seed = Annotated[
    int | None, typer.Option(help="Random seed: latents, choice of images, permutations.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps or auto.")]
BatchSize = Annotated[
    int,
    typer.Option(help="Images per batch.", default_factory=ConfigDefault("batch_size")),
]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="Preprocessing, e.g. paper, native, paper@128.")
]
OnBad = Annotated[
    str,
    typer.Option(
        help="Unreadable images: skip (exit code 3) or fail.",
        default_factory=ConfigDefault("on_bad"),
    ),
]
Repeat = Annotated[
    Path | None, typer.Option("--config", help="Repeat the run of this manifest.json.")
]
Out = Annotated[Path | None, typer.Option(help="Run directory.")]
TallyFile = Annotated[Path | None, typer.Option(help="Write the tally to this Parquet file.")]
Store = Annotated[Path | None, typer.Option(help="Folder of finished work (default: cache).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

# Tests and checks of a comparison.
Level = Annotated[
    float,
    typer.Option(
        help="False discovery rate of the verdicts.",
        default_factory=ConfigDefault("level"),
    ),
]
Permutations = Annotated[
    int,
    typer.Option(
        help="Permutations for the p-value; 0: none.",
        default_factory=ConfigDefault("permutations"),
    ),
]
Truth = Annotated[
    str | None,
    typer.Option(help="True labels of the real images: folder of label maps, data or none."),
]
Sensitivity = Annotated[
    str,
    typer.Option(
        help="Check for segmentation error: auto, off, scale, scale:0.5, or a second segmenter, "
        "family:FILE.",
        default_factory=ConfigDefault("sensitivity"),
    ),
]
Fidelity = Annotated[
    bool,
    typer.Option("--fidelity", help="Also FID, KID, IS, precision, recall (extra: fidelity)."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Compare even if n, segmenter or preset differ.")
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit with code 4 if this holds: 'fsd.bias_reduced > 5', 'omitted: person'; may be "
        "repeated."
    ),
]

# Inversion.
Method = Annotated[
    str | None,
    typer.Option(
        help="Inversion method: z, encoder, encoder+z, layered, layered+z or layered+r (default); "
        "several as a,b; all; none (analyze only)."
    ),
]
Cut = Annotated[
    str | None,
    typer.Option(help="Boundary where the generator is cut: one, several as a,b, or all."),
]
PerClass = Annotated[
    int,
    typer.Option(
        help="Photos to invert for each omitted class.",
        default_factory=ConfigDefault("inversion.per_class"),
    ),
]
Pick = Annotated[
    str,
    typer.Option(
        help="Choice among the photos that contain the class: stratified, random, most or list.",
        default_factory=ConfigDefault("inversion.pick"),
    ),
]
Ids = Annotated[
    str | None, typer.Option(help="Ids of the photos to invert, as a,b (sets --pick list).")
]
Own = Annotated[
    int,
    typer.Option(
        help="Generator samples to calibrate each method on.",
        default_factory=ConfigDefault("inversion.own"),
    ),
]
_INVERSION_PRESETS = "Losses and schedule of the inversion: fast (default) or paper."
InversionPreset = Annotated[str | None, typer.Option(help=_INVERSION_PRESETS)]
PlainInversionPreset = Annotated[str | None, typer.Option("--preset", help=_INVERSION_PRESETS)]
Encoder = Annotated[
    str | None,
    typer.Option(help="Encoder: auto, found, train, none, or an encoder file of this generator."),
]
Perceptual = Annotated[
    str | None, typer.Option(help="Perceptual features: a name, auto or none (pixels only).")
]
PerceptualWeights = Annotated[
    Path | None, typer.Option(help="Weights file of the perceptual features.")
]
Steps = Annotated[int | None, typer.Option(help="Largest number of optimisation steps.")]
InverterOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the method; may be repeated.")
]
ImageLabel = Annotated[
    int | None,
    typer.Option("--label", help="The one class to draw and invert, for a conditional generator."),
]
