"""Options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Gan = Annotated[
    str | None,
    typer.Option(help="Generator: family, family:weights, or auto with --weights."),
]
Weights = Annotated[Path | None, typer.Option(help="The generator's weights file.")]
Segmenter = Annotated[str | None, typer.Option(help="Segmenter: family or family:weights.")]
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
Seed = Annotated[int | None, typer.Option(help="Seed of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps or auto.")]
BatchSize = Annotated[int, typer.Option(help="Images computed at once.")]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="Preprocessing, e.g. paper, native, paper@128.")
]
OnBad = Annotated[str, typer.Option(help="Unreadable images: skip (exit code 3) or fail.")]
Out = Annotated[Path | None, typer.Option(help="Run directory.")]
Store = Annotated[Path | None, typer.Option(help="Folder of finished work (default: cache).")]
Json = Annotated[bool, typer.Option("--json", help="Print results.json instead of words.")]
Permutations = Annotated[int, typer.Option(help="Permutations behind the p-value.")]
Level = Annotated[float, typer.Option(help="False discovery rate of the verdicts.")]
Repeat = Annotated[
    Path | None, typer.Option("--config", help="Repeat the run of this manifest.json.")
]

Method = Annotated[
    str | None,
    typer.Option(help="z, encoder, encoder+z, layered, layered+z, layered+r; a,b; all; none."),
]
Cut = Annotated[str | None, typer.Option(help="Boundary of r, several as a,b, or all.")]
Own = Annotated[int, typer.Option(help="The generator's own images that calibrate a method.")]
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
