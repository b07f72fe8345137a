"""Interventions on generators of every family: nothing here knows which it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import seeingkit
from seeingkit.analyses.interventions.cells import OUTSIDE
from seeingkit.analyses.interventions.effects import Intervention, measure
from seeingkit.analyses.interventions.places import insert_at_cells
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.contracts import Generator
from seeingkit.models.autostaged import AutoStaged
from tests.helpers.goldens import golden
from tests.helpers.planted import levels

FILES = [
    ("progan_pth", "plain-r32"),
    ("stylegan3_pkl", "t-r32"),
    ("stylegan3_pkl", "r-cond-r32"),
    ("biggan_ajbrock", "unshared-r32"),
    ("biggan_hf", "deep-r32"),
    ("dcgan", "examples-r64"),
    ("stylegan2_ada_pkl", None),
    ("stylegan_tf_pkl", None),
]


def layer_of(generator: Generator) -> str:
    maps = [b for b in generator.boundaries if b.kind == "feature" and b.extent]
    return maps[len(maps) // 2].name


def check(generator: Generator) -> None:
    """Ablation, insertion, places and the gradient at a middle layer, whatever the batch."""
    layer = layer_of(generator)
    subject = Subject(generator, levels(), layer, batch=2)
    sample, units = Sample(range(3)), range(min(4, subject.units))
    k = torch.linspace(0.5, 1.5, subject.units)
    edits = [Intervention.ablation(units), Intervention.insertion(units, k)]
    found = measure(subject, sample, edits)
    state = subject.start(sample, [0, 1])
    changed = subject.images(state, [edits[1].edit(layer, range(2))])
    assert not torch.equal(changed, subject.images(state))
    other = measure(Subject(generator, levels(), layer, batch=3), sample, edits)
    assert np.abs(found.after - other.after).max() <= 3
    assert np.array_equal(found.before.sum(1), np.full(3, found.pixels))
    cells = [0, subject.extent[0] // 2 * subject.extent[1] + subject.extent[1] // 2]
    placed = insert_at_cells(subject, sample, units, k, 3, cells)
    window = subject.boundary.window
    assert (placed.context[0] == OUTSIDE).all() == (window[0] < -0.5 / subject.extent[0])
    assert (placed.context[1] != OUTSIDE).all()
    alpha = torch.zeros(subject.units, requires_grad=True)
    edit = Intervention(tuple(range(subject.units)), 1.0, alpha).edit(layer, range(1))
    scores = subject.scores(subject.images(subject.start(sample, [0]), [edit]), 3)
    scores.sum().backward()
    assert alpha.grad is not None and alpha.grad.abs().sum() > 0


@pytest.mark.parametrize(("family", "name"), FILES)
def test_a_published_format(shared: Path, family: str, name: str | None) -> None:
    folder = shared / "golden" / family
    name = name or min(path.name for path in folder.iterdir() if path.is_dir())
    case = golden(shared, family, name)
    path = case.folder if family == "biggan_hf" else case.file()
    generator = seeingkit.load_generator(weights=path)
    assert isinstance(generator, Generator)
    check(generator)


def test_a_module_of_ones_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.ConvTranspose2d(8, 6, 4),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 5, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 3, 4, 2, 1),
        nn.Tanh(),
    )
    with torch.no_grad():
        network[4].weight.mul_(8)
    check(AutoStaged(network, stages={"r4": "1", "r8": "3"}, latent=(8, 1, 1)))
