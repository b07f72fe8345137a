"""The options of the commands, each stated once: type, name, help; and the values of ``key=value``.

Defaults that decide a result are the config's (``ConfigDefault``), so help and runs cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


class ConfigDefault:
    """The default of a field of the config, looked up when it is needed (not on start-up)."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __call__(self) -> Any:
        from seeingkit.runs.config import Config

        return Config.model_fields[self.field].default

    def __str__(self) -> str:
        return str(self())


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``key=value`` pairs; values are JSON where they parse as JSON, else text.

    Raises:
        UsageError: no equals sign, or a key given twice.
    """
    from seeingkit.errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UsageError(f"an option reads key=value, not {pair!r}")
        if key in found:
            raise UsageError(f"option {key!r} is given twice")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


Gan = Annotated[
    str | None,
    typer.Option(help="Generator: family, family:weights, or auto with --weights."),
]
Weights = Annotated[Path | None, typer.Option(help="The generator's weights file.")]
Segmenter = Annotated[str | None, typer.Option(help="Segmenter: family or family:weights.")]
SegmenterOrNone = Annotated[
    str | None, typer.Option(help="Segmenter: family or family:weights, or none.")
]
SegmenterWeights = Annotated[
    Path | None, typer.Option(help="The segmenter's weights file or folder.")
]
SegmenterOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the segmenter; may be repeated.")
]
GanOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the generator; may be repeated.")
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
PhotoCount = Annotated[int | None, typer.Option("--n", help="Take only n of the photos.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps or auto.")]
BatchSize = Annotated[int, typer.Option(help="Images computed at once.")]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="Preprocessing, e.g. paper, native, paper@128.")
]
OnBad = Annotated[str, typer.Option(help="Unreadable images: skip (exit code 3) or fail.")]
Out = Annotated[Path | None, typer.Option(help="Run directory.")]
TallyFile = Annotated[Path | None, typer.Option(help="Write the tally to this Parquet file.")]
Store = Annotated[Path | None, typer.Option(help="Folder of finished work (default: cache).")]
ResultsJson = Annotated[bool, typer.Option("--json", help="Print results.json instead of words.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Permutations = Annotated[
    int,
    typer.Option(
        help="Permutations behind the p-value; 0: none.",
        default_factory=ConfigDefault("permutations"),
    ),
]
Level = Annotated[
    float,
    typer.Option(
        help="False discovery rate of the verdicts.", default_factory=ConfigDefault("level")
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Compare although segmenter, preset or n policy differ.")
]
Truth = Annotated[
    str | None,
    typer.Option(help="True labels of the real images: folder of label maps, data or none."),
]
Sensitivity = Annotated[
    str,
    typer.Option(
        help="The segmenter's share: auto, off, scale, scale:0.5, or a second one, family:FILE.",
        default_factory=ConfigDefault("sensitivity"),
    ),
]
Fidelity = Annotated[
    bool,
    typer.Option("--fidelity", help="Also FID, KID, IS, precision, recall (extra: fidelity)."),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit code 4 if so: 'fsd.bias_reduced > 5', 'omitted: person'; may be repeated."
    ),
]
Repeat = Annotated[
    Path | None, typer.Option("--config", help="Repeat the run of this manifest.json.")
]

Method = Annotated[
    str | None,
    typer.Option(
        help="z, encoder, encoder+z, layered, layered+z, layered+r; a,b; all; none (of analyze)."
    ),
]
Cut = Annotated[str | None, typer.Option(help="Boundary of r, several as a,b, or all.")]
PerClass = Annotated[int, typer.Option(help="Photos inverted for each omitted class.")]
Pick = Annotated[
    str, typer.Option(help="Which of those that show it: stratified, random, most or list.")
]
Ids = Annotated[str | None, typer.Option(help="The photos themselves: ids as a,b.")]
Own = Annotated[int, typer.Option(help="The generator's own images that calibrate a method.")]
InversionPreset = Annotated[str | None, typer.Option(help="Inversion: fast (default) or paper.")]
PlainInversionPreset = Annotated[
    str | None, typer.Option("--preset", help="fast (default), or paper: its losses and schedule.")
]
Encoder = Annotated[
    str | None,
    typer.Option(help="auto, found, train, none, or an encoder file of this generator."),
]
Perceptual = Annotated[
    str | None, typer.Option(help="Perceptual features: a name, auto or none (pixels only).")
]
PerceptualWeights = Annotated[Path | None, typer.Option(help="Their weights file.")]
Steps = Annotated[int | None, typer.Option(help="Optimisation steps at most.")]
InverterOption = Annotated[
    list[str] | None, typer.Option(help="key=value for the method; may be repeated.")
]
ImageLabel = Annotated[
    int | None,
    typer.Option("--label", help="The one class to draw and invert, for a conditional generator."),
]
