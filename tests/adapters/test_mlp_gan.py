"""Linear generators: the published MNIST file, and other depths, widths and names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.testing import generator_checks
from seeingkit.weights import read_checkpoint, write_portable
from seeingkit_adapters.catalog.dcgan import MLPGANOptions
from seeingkit_adapters.dcgan.stages import StackGenerator
from seeingkit_adapters.mlp_gan import image_shape, load, recognise
from tests.helpers.goldens import agree, golden


def open_file(path: Path, **options: Any) -> StackGenerator:
    return load(path, MLPGANOptions(**options))


def linear(widths: Sequence[int], activation: nn.Module | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), activation or nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Tanh()).eval()


def check_same(path: Path, network: nn.Module, shape: tuple[int, ...], **options: Any) -> None:
    generator = open_file(path, **options)
    latent = generator.latents(range(3), seed=2)
    with torch.no_grad():
        images: Tensor = network(latent["z"]).reshape(3, *shape)
    agree(generator(latent), images.expand(-1, 3, -1, -1))


def test_published_file(shared: Path) -> None:
    """Real digits: legacy torch file, CUDA storages; images and every activation."""
    case = golden(shared, "mnist_mlp_gan", "real-G--300")
    generator = open_file(case.file("G--300.ckpt"))
    latent = {"z": case.arrays["in.z"]}
    agree(generator(latent), case.arrays["out.image"].expand(-1, 3, -1, -1))
    for k, shape in enumerate([(256,), (256,), (256,), (256,), (784,)]):
        state = generator.advance(generator.begin(latent), str(k))
        assert generator.boundary(str(k)).shape == shape
        agree(state.x, case.arrays[f"act.{k}"])
    names = "input fc0 fc0.act fc1 fc1.act fc2 image"
    assert " ".join(b.name for b in generator.boundaries) == names
    info = generator.info
    assert (info.resolution, info.channels, info.parameters) == (28, 1, 283_920)
    for _, check in generator_checks():
        check(generator)


def test_the_discriminator_is_no_generator(shared: Path) -> None:
    path = golden(shared, "mnist_mlp_gan", "real-G--300").file("D--300.ckpt")
    assert recognise(read_checkpoint(path)) is None
    with pytest.raises(StateMismatchError, match=r"D--300\.ckpt: not a stack of linear .* 1 outp"):
        open_file(path)


@settings(max_examples=25)
@given(
    inner=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    nz=st.integers(1, 9),
    side=st.integers(8, 11),
    colours=st.sampled_from([1, 3]),
    prefix=st.sampled_from(["", "model.", "module.", "net.2."]),
    legacy=st.booleans(),
)
def test_any_depth_and_width(
    tmp_path_factory: pytest.TempPathFactory,
    inner: list[int],
    nz: int,
    side: int,
    colours: int,
    prefix: str,
    legacy: bool,
) -> None:
    network = linear([nz, *inner, colours * side * side])
    path = tmp_path_factory.mktemp("any") / "g.ckpt"
    state = {prefix + key: value for key, value in network.state_dict().items()}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    check_same(path, network, (colours, side, side))
    layout = recognise(read_checkpoint(path))
    assert layout == f"stack of {len(inner) + 1} linear layers"


def test_image_shape_is_the_only_one() -> None:
    """Against every product of a square and 1 or 3: 3k² is never a square."""
    made = {c * k * k: (c, k, k) for c in (1, 3) for k in range(8, 100)}
    assert len(made) == 2 * 92
    for outputs in range(1, 9000):
        assert image_shape(outputs) == made.get(outputs)


def test_batch_norms_slopes_and_wrappers(tmp_path: Path) -> None:
    """Linear, BatchNorm1d(eps 0.8), LeakyReLU, as in many small GAN repositories."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(5, 12),
        nn.LeakyReLU(0.1),
        nn.Linear(12, 20),
        nn.BatchNorm1d(20, 0.8),
        nn.LeakyReLU(0.1),
        nn.Linear(20, 192),
        nn.Tanh(),
    ).eval()
    norm = network[3]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    norm.running_mean.normal_()
    discriminator = linear([192, 12, 1])
    path = tmp_path / "gan.pth"
    torch.save({"D": discriminator.state_dict(), "G": network.state_dict(), "step": 4}, path)
    check_same(path, network, (3, 8, 8), eps=0.8, activation="leaky", slope=0.1)
    assert open_file(path).info.options["key"] == "G"


def test_lists_and_sequentials_without_activations(tmp_path: Path) -> None:
    """Numbers without a gap are a list; with a gap elsewhere, a missing activation is read."""
    first, second, last = nn.Linear(4, 9), nn.Linear(9, 7), nn.Linear(7, 64)
    for k, layer in enumerate((first, second, last)):
        torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(k))
    listed = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last, nn.Tanh())
    state = {f"layers.{k}.weight": m.weight for k, m in enumerate((first, second, last))}
    state |= {f"layers.{k}.bias": m.bias for k, m in enumerate((first, second, last))}
    torch.save(state, tmp_path / "list.pth")
    check_same(tmp_path / "list.pth", listed, (1, 8, 8))
    gapped = nn.Sequential(first, second, nn.ReLU(), last, nn.Tanh())
    torch.save(gapped.state_dict(), tmp_path / "gap.pth")
    check_same(tmp_path / "gap.pth", gapped, (1, 8, 8))


def test_colours_last(tmp_path: Path) -> None:
    network = linear([4, 10, 3 * 81])
    torch.save(network.state_dict(), tmp_path / "g.pth")
    generator = open_file(tmp_path / "g.pth", shape="9,9,3")
    latent = generator.latents(range(2))
    with torch.no_grad():
        expected = network(latent["z"]).reshape(2, 9, 9, 3).permute(0, 3, 1, 2)
    agree(generator(latent), expected)
    for _, check in generator_checks():
        check(generator)
    for shape, message in (([9, 9], "give C,H,W or H,W,C"), ([3, 9, 10], "243 numbers make no sq")):
        with pytest.raises(UsageError, match=message):
            open_file(tmp_path / "g.pth", shape=shape)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([4, 10, 65], "65 outputs are no square image"),
        ([784, 20, 784], "784 outputs are not more than it takes"),
        ([4, 10, 49], "49 outputs are no square image"),
    ],
)
def test_other_stacks_are_refused(tmp_path: Path, widths: list[int], message: str) -> None:
    """An odd number of outputs, an autoencoder, a tiny output."""
    torch.save(linear(widths).state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=message):
        open_file(tmp_path / "g.pth")
    assert recognise(read_checkpoint(tmp_path / "g.pth")) is None


def test_converted_file(shared: Path, tmp_path: Path) -> None:
    case = golden(shared, "mnist_mlp_gan", "real-G--300")
    generator = open_file(case.file("G--300.ckpt"))
    tensors, config = generator.export()
    again = open_file(write_portable(tmp_path / "o.safetensors", tensors, "mlp-gan", config))
    latent = generator.latents(range(4))
    assert torch.equal(again(latent), generator(latent))
    assert again.info.options == generator.info.options
