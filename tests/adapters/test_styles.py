"""Styles of StyleGAN 1, 2 and 3 as boundaries: the same images, edits of single channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seeingkit.contracts import Generator, State
from seeingkit.models.edits import UnitEdit, run
from seeingkit.models.staged import without_styles
from seeingkit.testing import check_generator
from seeingkit_adapters.catalog.stylegan1 import StyleGAN1Options
from seeingkit_adapters.catalog.stylegan2 import StyleGAN2Options
from seeingkit_adapters.catalog.stylegan3 import StyleGAN3Options
from seeingkit_adapters.stylegan1 import load as load1
from seeingkit_adapters.stylegan2 import load as load2
from seeingkit_adapters.stylegan2.generator import StyleGAN2
from seeingkit_adapters.stylegan3 import load as load3
from tests.helpers.goldens import golden
from tests.helpers.nvidia_pickle_writer import snapshot, write_pickle
from tests.helpers.stylegan2_layouts import config, random_network
from tests.helpers.stylegan3_designs import generator as design

CASES: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "1-nvidia": ("stylegan_tf_pkl/r32", load1, StyleGAN1Options, {}),
    "1-rosinality": ("stylegan1_rosinality/bare-step3", load1, StyleGAN1Options, {"step": 3}),
    "2-skip": ("stylegan2_ada_pkl/uncond-skip-r32", load2, StyleGAN2Options, {}),
    "2-resnet": ("stylegan2_ada_pkl/cond-resnet-r16", load2, StyleGAN2Options, {}),
    "2-orig-grey": ("stylegan2_ada_pkl/orig-gray-nonoise-r8", load2, StyleGAN2Options, {}),
    "3-t": ("stylegan3_pkl/t-r32", load3, StyleGAN3Options, {}),
    "3-r-classes": ("stylegan3_pkl/r-cond-r32", load3, StyleGAN3Options, {"truncation": 0.6}),
}


def opened(shared: Path, name: str, **options: Any) -> Generator:
    folder, load, kind, own = CASES[name]
    found: Generator = load(golden(shared, *folder.split("/")).file(), kind(**own, **options))
    return found


def begun(generator: Generator, rows: int = 3) -> State:
    classes = len(generator.info.class_names)
    labels = [k % classes for k in range(rows)] if classes else None
    return generator.begin(generator.latents(range(rows), labels=labels))


@pytest.mark.parametrize("name", CASES)
def test_styles_are_stops_on_the_same_way(shared: Path, name: str) -> None:
    plain, styled = opened(shared, name), opened(shared, name, styles=True)
    kept, _ = without_styles(styled.boundaries, styled.stages)  # type: ignore[attr-defined]
    assert tuple(kept) == plain.boundaries
    assert styled.default_cut == plain.default_cut
    # The same images, to the bit, so the same tallies.
    assert styled.info == plain.info
    start = begun(plain)
    assert torch.equal(styled.advance(start).x, plain.advance(start).x)
    for boundary in plain.boundaries:
        one, other = (g.advance(start, boundary.name) for g in (plain, styled))
        assert torch.equal(one.x, other.x)
        assert set(one.carry) == set(other.carry)
    own = [b for b in styled.boundaries if b.kind == "style"]
    layers = [b for b in plain.boundaries if b.kind == "feature" and "fourier" not in b.name]
    assert {f"{b.name}.style" for b in layers} < {b.name for b in own}


@pytest.mark.parametrize("name", [pytest.param("1-nvidia", marks=pytest.mark.slow), "2-resnet"])
def test_conformance(shared: Path, name: str) -> None:
    check_generator(opened(shared, name, styles=True))


@pytest.mark.slow
def test_conformance_of_small_networks(tmp_path: Path) -> None:
    check_generator(StyleGAN2(random_network(config()), StyleGAN2Options(styles=True)))
    network = design(num_layers=2, num_critical=1, margin_size=2)
    path = write_pickle(tmp_path / "network.pkl", snapshot(network), 4)
    check_generator(load3(path, StyleGAN3Options(styles=True)))


@pytest.mark.parametrize("name", CASES)
def test_channels_of_w_are_one_layers_w(shared: Path, name: str) -> None:
    generator = opened(shared, name, styles=True)
    start = begun(generator)
    w = generator.advance(start, "w")
    layer, number = w.x.shape[1] - 1, 2
    changed = w.x.clone()
    changed[:, layer, number] = 1.5
    unit = layer * w.x.shape[2] + number
    edited, _ = run(generator, start, edits=[UnitEdit("w.channels", (unit,), value=1.5)])
    assert torch.equal(edited.x, generator.advance(w.with_x(changed)).x)
    assert not torch.equal(edited.x, generator.advance(w).x)


def test_a_style_of_stylegan1_scales_and_shifts(shared: Path) -> None:
    generator = opened(shared, "1-nvidia", styles=True)
    state = generator.advance(begun(generator), "r8.conv1.style")
    before = generator.advance(state, "r8.conv1").x
    channels = before.shape[1]
    assert state.x.shape[1] == 2 * channels
    x = state.x.clone()
    x[:, 3], x[:, channels + 3] = 0.0, 0.25  # no pattern, one level
    after = generator.advance(state.with_x(x), "r8.conv1").x
    assert bool((after[:, 3] == 0.25).all())
    others = [k for k in range(channels) if k != 3]
    assert torch.equal(after[:, others], before[:, others])


def test_a_style_of_stylegan2_scales_an_input_channel() -> None:
    generator = StyleGAN2(random_network(config()), StyleGAN2Options(styles=True, noise="none"))
    names = [b.name for b in generator.boundaries if b.kind == "style"]
    assert names[:5] == [
        *("w.channels", "r4.conv1.style", "r4.torgb.style"),
        *("r8.conv0.style", "r8.conv1.style"),
    ]
    assert generator.boundary("synthesis.b8.conv1.affine").name == "r8.conv1.style"
    state = generator.advance(generator.begin(generator.latents([0, 1])), "r8.torgb.style")
    assert state.x.shape[1:] == generator.boundary("r8.torgb.style").shape
    # Twice the style of a ToRGB is twice its input map.
    twice = generator.advance(state.with_x(2 * state.x)).x
    by_map = generator.advance(state.with_carry(map=state.carry["map"] * 2)).x
    assert not torch.allclose(by_map, twice)  # the map goes on to the next layer, too
    colours = [
        generator.advance(one, "r16.conv0.style").carry["rgb"]
        for one in (state.with_x(2 * state.x), state.with_carry(map=state.carry["map"] * 2))
    ]
    torch.testing.assert_close(*colours)
