"""DCGAN and relatives: golden files, networks of other people, and layouts made here with torch."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.errors import SeeingkitError, StateMismatchError, UnsafeFileError, UsageError
from seeingkit.testing import generator_checks
from seeingkit.weights import read_checkpoint, write_portable
from seeingkit_adapters import mlp_gan
from seeingkit_adapters.catalog.dcgan import DCGANOptions
from seeingkit_adapters.dcgan.generator import load, recognise
from seeingkit_adapters.dcgan.stages import StackGenerator
from tests.helpers.goldens import NOT_YET_READ, agree, golden

CASES = ("examples-r64", "csinva-mnist-r28")


def open_file(path: Path, **options: Any) -> StackGenerator:
    return load(path, DCGANOptions(**options))


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics as after training: no batch norm is the identity."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
    return network.eval()


def examples(nz: int, widths: Sequence[int], nc: int, bias: bool = False) -> nn.Sequential:
    """pytorch/examples dcgan: 4x4 kernels, batch norm and ReLU between, tanh."""
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise((nz, *widths, nc))):
        layers.append(nn.ConvTranspose2d(a, b, 4, 2 if k else 1, 1 if k else 0, bias=bias))
        layers += [nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers[:-2], nn.Tanh())


def prefixed(state: Mapping[str, Any], prefix: str) -> OrderedDict[str, Any]:
    return OrderedDict((prefix + key, value) for key, value in state.items())


def check_same(
    path: Path, network: Callable[[Tensor], Tensor], nz: int, maps: bool = True, **options: Any
) -> StackGenerator:
    """The file gives the network's own images."""
    generator = open_file(path, **options)
    latent = generator.latents(range(3), seed=5)
    assert latent["z"].shape == (3, nz)
    with torch.no_grad():
        images = network(latent["z"][:, :, None, None] if maps else latent["z"])
    agree(generator(latent), images.expand(-1, 3, -1, -1))
    assert generator.info.resolution == images.shape[-1]
    assert generator.info.channels == images.shape[1]
    return generator


# ------------------------------------------------------------------------------------------- golden


@pytest.mark.parametrize("name", CASES)
def test_golden_images_and_activations(shared: Path, name: str) -> None:
    case = golden(shared, "dcgan", name)
    generator = open_file(case.file())
    latent = {"z": case.arrays["in.z"]}
    image = case.arrays["out.image"]
    agree(generator(latent), image.expand(-1, 3, -1, -1))
    assert generator.info.channels == image.shape[1]
    activations = [key for key in case.arrays if key.startswith("act.")]
    assert len(activations) == 5
    for key in activations:
        native = key.removeprefix("act.")
        agree(generator.advance(generator.begin(latent), native).x, case.arrays[key])
    assert generator.default_cut == generator.boundary("r4").name == "r4.act0"
    assert generator.boundary("main.5").name == "r8.act0"


@pytest.mark.parametrize("name", CASES)
def test_conformance(shared: Path, name: str) -> None:
    generator = open_file(golden(shared, "dcgan", name).file())
    for _, check in generator_checks():
        check(generator)


def test_faces_of_a_training_file(shared: Path) -> None:
    """A zip-format torch file by the name of weights.tar, with the network under a key."""
    path = shared / "real/weights/dcgan-digiface64/weights.tar"
    network = examples(100, (512, 256, 128, 64), 3)
    stored = torch.load(path, map_location="cpu", weights_only=True)["netG_state_dict"]
    network.load_state_dict({k.removeprefix("main."): v for k, v in stored.items()})
    generator = check_same(path, network.eval(), 100)
    assert generator.info.options["key"] == "netG_state_dict"
    assert generator.info.parameters == 3_576_704
    assert recognise(read_checkpoint(path)) is not None


def test_cifar_network_needs_what_the_file_lacks(shared: Path) -> None:
    """3x3 kernels: strides and paddings are asked for; the last layer has a batch norm."""
    path = shared / "real/weights/gan-cifar32/gen.pth"
    assert recognise(read_checkpoint(path)) is not None
    with pytest.raises(UsageError, match=r"gen\.pth: up2\.0 .* 3x3 .* give strides="):
        open_file(path)
    blocks = [(64, 256, 3, 1), (256, 128, 3, 2), (128, 64, 3, 2), (64, 32, 4, 2), (32, 3, 1, 1)]
    layers: list[nn.Module] = []
    for a, b, kernel, stride in blocks:
        layers += [nn.ConvTranspose2d(a, b, kernel, stride, bias=False), nn.BatchNorm2d(b)]
        layers.append(nn.ReLU() if b != 3 else nn.Sigmoid())
    network = nn.Sequential(*layers)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    names = {"up1": 0, "up2": 3, "up3": 6, "up4": 9, "out_layer": 12}
    network.load_state_dict(
        {
            f"{names[block] + int(number)}.{leaf}": value
            for key, value in stored.items()
            for block, number, leaf in [key.split(".")]
        }
    )
    network.eval()
    options = {"strides": "1,2,2,2,1", "paddings": [0, 0, 0, 0, 0], "final": "sigmoid"}
    generator = check_same(path, lambda z: 2 * network(z) - 1, 64, **options)
    assert generator.info.resolution == 32
    assert generator.advance(generator.begin(generator.latents([0])), "r7").x.shape == (
        1,
        128,
        7,
        7,
    )


# ----------------------------------------------------------------------- other sizes and containers


@pytest.mark.parametrize(
    ("nz", "widths", "nc"), [(7, (12, 6), 1), (20, (8, 8, 5, 3), 3), (3, (16, 8, 4, 4, 2), 3)]
)
@pytest.mark.parametrize("prefix", ["main.", "module.main.", "", "gen.layers.", "model.0."])
def test_other_sizes_and_prefixes(
    tmp_path: Path, nz: int, widths: tuple[int, ...], nc: int, prefix: str
) -> None:
    network = randomised(examples(nz, widths, nc))
    path = tmp_path / "netG_epoch_3.pth"
    torch.save(prefixed(network.state_dict(), prefix), path)
    generator = check_same(path, network, nz)
    assert generator.info.resolution == 2 ** (len(widths) + 2)
    assert recognise(read_checkpoint(path)) == (
        f"stack of {len(widths) + 1} layers with transposed convolutions"
    )


@pytest.mark.parametrize(
    "save",
    [
        {"_use_new_zipfile_serialization": False},
        {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
        {"pickle_protocol": 3},
    ],
    ids=["legacy", "legacy-4", "zip-3"],
)
def test_containers(tmp_path: Path, save: dict[str, Any]) -> None:
    network = randomised(examples(6, (8, 4, 4), 3))
    torch.save(prefixed(network.state_dict(), "main."), tmp_path / "g.pth", **save)
    check_same(tmp_path / "g.pth", network, 6)


def test_foreign_safetensors_in_alphabetical_order(tmp_path: Path) -> None:
    """safetensors keeps no order: main.0, main.1, main.10, main.12, main.3 …."""
    import safetensors.torch

    network = randomised(examples(6, (8, 8, 8, 4), 3))
    state = dict(sorted(prefixed(network.state_dict(), "main.").items()))
    safetensors.torch.save_file(state, tmp_path / "g.safetensors")
    check_same(tmp_path / "g.safetensors", network, 6)


def test_files_of_before_num_batches_tracked_and_in_halves(tmp_path: Path) -> None:
    network = randomised(examples(6, (8, 4), 3)).half().float()
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "old.pth")
    check_same(tmp_path / "old.pth", network, 6)
    torch.save({k: v.half() for k, v in state.items()}, tmp_path / "half.pth")
    check_same(tmp_path / "half.pth", network, 6)


def discriminator(nc: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(nc, 4, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 1, 4, bias=False),
    )


@pytest.mark.parametrize("key", ["netG", "generator", "G", "state_dict", "model_state_dict"])
def test_wrapped(tmp_path: Path, key: str) -> None:
    network = randomised(examples(6, (8, 4), 3))
    torch.save({"epoch": 3, key: network.state_dict()}, tmp_path / "g.pth")
    assert check_same(tmp_path / "g.pth", network, 6).info.options["key"] == key


def test_training_file_of_several_networks(tmp_path: Path) -> None:
    network, other = randomised(examples(6, (8, 4), 3)), randomised(examples(6, (8, 4), 3), 1)
    optimiser = torch.optim.Adam(network.parameters())
    content: dict[str, Any] = {
        "epoch": 3,
        "netD": discriminator().state_dict(),
        "networks": {"netG": prefixed(network.state_dict(), "module.main.")},
        "optimiser": optimiser.state_dict(),
    }
    path = tmp_path / "training.pth"
    torch.save(content, path)
    generator = check_same(path, network, 6)
    assert generator.info.options["key"] == "networks.netG"
    assert recognise(read_checkpoint(path)) == (
        "stack of 3 layers with transposed convolutions (networks.netG)"
    )
    torch.save({**content, "netG_other": other.state_dict()}, path)
    with pytest.raises(
        UsageError, match=r"more than one stack of .*networks\.netG, netG_other.* key="
    ):
        open_file(path)
    check_same(path, other, 6, key="netG_other")
    check_same(path, network, 6, key="netG")
    with pytest.raises(UsageError, match=r"key=netD: .*does not continue.* fit: 'networks\.netG'"):
        open_file(path, key="netD")
    with pytest.raises(UsageError, match=r"key=nothing: no such network"):
        open_file(path, key="nothing")


def test_one_state_dict_of_both_networks(tmp_path: Path) -> None:
    """As Lightning saves a module with two children."""
    network = randomised(examples(6, (8, 4), 3))
    both = prefixed(discriminator().state_dict(), "discriminator.")
    both.update(prefixed(network.state_dict(), "generator.main."))
    torch.save({"state_dict": both, "global_step": 7}, tmp_path / "last.ckpt")
    generator = check_same(tmp_path / "last.ckpt", network, 6)
    assert generator.info.options["key"] == "state_dict.generator"


# ------------------------------------------------------------------------------------------ namings


def wasserstein(nz: int, ngf: int, extra: int, norm: bool) -> tuple[nn.Sequential, list[str]]:
    """WassersteinGAN's network of 32 pixels, and the names of its modules."""
    layers: list[tuple[str, nn.Module]] = []

    def add(stage: str, sizes: str, channels: int, kind: str, module: nn.Module) -> None:
        layers.append((f"{stage}.{sizes}.{kind}", module))
        if norm:
            layers.append((f"{stage}.{channels}.batchnorm", nn.BatchNorm2d(channels)))
        layers.append((f"{stage}.{channels}.relu", nn.ReLU()))

    wide = 4 * ngf
    add("initial", f"{nz}-{wide}", wide, "convt", nn.ConvTranspose2d(nz, wide, 4, bias=False))
    while wide > ngf:
        half = wide // 2
        up = nn.ConvTranspose2d(wide, half, 4, 2, 1, bias=False)
        add("pyramid", f"{wide}-{half}", half, "convt", up)
        wide = half
    for k in range(extra):
        conv = nn.Conv2d(ngf, ngf, 3, 1, 1, bias=False)
        add(f"extra-layers-{k}", str(ngf), ngf, "conv", conv)
    layers.append((f"final.{ngf}-3.convt", nn.ConvTranspose2d(ngf, 3, 4, 2, 1, bias=False)))
    network = nn.Sequential(*(module for _, module in layers), nn.Tanh())
    return network, [name for name, _ in layers]


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("extra", [0, 2])
def test_wasserstein_names_and_extra_layers(tmp_path: Path, extra: int, norm: bool) -> None:
    network, names = wasserstein(9, 5, extra, norm)
    randomised(network)
    state = OrderedDict()
    for key, value in network.state_dict().items():
        number, _, leaf = key.partition(".")
        state[f"main.{names[int(number)]}.{leaf}"] = value
    torch.save(state, tmp_path / "netG.pth")
    generator = check_same(tmp_path / "netG.pth", network, 9)
    names = [b.name for b in generator.boundaries if b.name.startswith("r16.conv")]
    assert names == [f"r16.conv{k}" for k in range(extra + 1)]
    assert generator.boundary("main.initial.9-20.convt").name == "r4.conv0"


class Attributes(nn.Module):
    """Modules as attributes, with the activations in the code."""

    def __init__(self, convolutions_first: bool) -> None:
        super().__init__()
        sizes = list(itertools.pairwise((6, 8, 8, 3)))
        for norms in (False, True) if convolutions_first else (None,):
            for k, (a, b) in enumerate(sizes, 1):
                if norms is not True:
                    up = nn.ConvTranspose2d(a, b, 4, 2 if k > 1 else 1, 1 if k > 1 else 0)
                    setattr(self, f"tconv{k}", up)
                if norms is not False and k < len(sizes):
                    setattr(self, f"bn{k}", nn.BatchNorm2d(b))

    def forward(self, z: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.tconv1(z)))
        x = torch.relu(self.bn2(self.tconv2(x)))
        return torch.tanh(self.tconv3(x))


@pytest.mark.parametrize("convolutions_first", [True, False])
def test_named_attributes(tmp_path: Path, convolutions_first: bool) -> None:
    """Equal widths, and names in any order: convolution 1 still meets norm 1."""
    network = randomised(Attributes(convolutions_first))
    torch.save(network.state_dict(), tmp_path / "g.pth")
    generator = check_same(tmp_path / "g.pth", network, 6)
    assert generator.boundary("tconv2").name == "r8.conv0"


def test_nested_blocks(tmp_path: Path) -> None:
    def block(a: int, b: int, stride: int, padding: int) -> nn.Sequential:
        up = nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False)
        return nn.Sequential(up, nn.BatchNorm2d(b), nn.ReLU())

    last = nn.ConvTranspose2d(6, 3, 4, 2, 1)
    network = randomised(nn.Sequential(block(5, 8, 1, 0), block(8, 6, 2, 1), last, nn.Tanh()))
    torch.save(prefixed(network.state_dict(), "net."), tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5)


def test_lists_of_layers_without_norms(tmp_path: Path) -> None:
    """An nn.ModuleList numbers without gaps; its activations are in the code, so they are there."""
    ups = nn.ModuleList(
        nn.ConvTranspose2d(a, b, 4, 2 if k else 1, 1 if k else 0)
        for k, (a, b) in enumerate(itertools.pairwise((5, 8, 6, 3)))
    )

    def network(z: Tensor) -> Tensor:
        return torch.tanh(ups[2](torch.relu(ups[1](torch.relu(ups[0](z))))))

    torch.save(prefixed(ups.state_dict(), "ups."), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"an instance norm .* would have none; .*plain="):
        open_file(tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5, plain=True)


# ---------------------------------------------------------------------------------- what is between


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["sequential", "apart"])
def test_linear_layers_first(tmp_path: Path, per_channel: bool, kind: str) -> None:
    """100 → C·7·7 → 14 → 28, batch norm over features or over channels."""
    front: list[nn.Module] = [nn.Linear(10, 12 * 49), nn.BatchNorm1d(12 * 49), nn.ReLU()]
    front.append(nn.Unflatten(1, (12, 7, 7)))
    if per_channel:
        front = [front[0], front[3], nn.BatchNorm2d(12), front[2]]
    back = [
        nn.ConvTranspose2d(12, 6, 4, 2, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    ]
    network = randomised(nn.Sequential(*front, *back))
    state = network.state_dict()
    if kind == "apart":
        names = {"0": "fc", "1": "fc_bn", "2": "fc_bn", "4": "up1", "5": "up1_bn", "7": "up2"}
        state = OrderedDict(
            (f"{names[k.partition('.')[0]]}.{k.partition('.')[2]}", v) for k, v in state.items()
        )
    torch.save(state, tmp_path / "g.pth")
    generator = check_same(tmp_path / "g.pth", network, 10, maps=False)
    assert generator.info.resolution == 28
    for _, check in generator_checks():
        check(generator)
    assert generator.boundary("fc0.act").shape == (12, 7, 7)
    assert generator.boundary("r7").name == "fc0.act"


def test_linear_layer_without_activation(tmp_path: Path) -> None:
    """One module between a linear layer and a convolution can only reshape."""
    network = randomised(
        nn.Sequential(
            nn.Linear(5, 8 * 16),
            nn.Unflatten(1, (8, 4, 4)),
            nn.ConvTranspose2d(8, 4, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 3, 4, 2, 1),
            nn.Tanh(),
        )
    )
    torch.save(network.state_dict(), tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5, maps=False)


def test_order_of_norm_and_activation_is_read_from_the_numbers(tmp_path: Path) -> None:
    def network(*between: nn.Module) -> nn.Sequential:
        up, last = nn.ConvTranspose2d(5, 6, 4), nn.ConvTranspose2d(6, 3, 4, 2, 1)
        return nn.Sequential(up, *between, last, nn.Tanh())

    for between in (
        (nn.ReLU(), nn.BatchNorm2d(6)),
        (nn.BatchNorm2d(6), nn.ReLU()),
        (nn.BatchNorm2d(6, affine=False), nn.PReLU(6)),
        (nn.PReLU(), nn.BatchNorm2d(6)),
        (nn.PReLU(),),
        (nn.ReLU(),),
    ):
        made = randomised(network(*between))
        torch.save(made.state_dict(), tmp_path / "g.pth")
        check_same(tmp_path / "g.pth", made, 5)
    dropout = randomised(network(nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout()))
    torch.save(dropout.state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"2 modules .* between 1 and 4: .*plain=true"):
        open_file(tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", dropout, 5, plain=True)
    doubtful = network(nn.ReLU(), nn.BatchNorm2d(6), nn.Dropout())
    torch.save(doubtful.state_dict(), tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match=r"between 0 and 2 may or may not .*--gan module"):
        open_file(tmp_path / "g.pth")


def test_no_activation_where_a_sequential_has_none(tmp_path: Path) -> None:
    made = randomised(
        nn.Sequential(
            nn.ConvTranspose2d(5, 6, 4),
            nn.BatchNorm2d(6),
            nn.ConvTranspose2d(6, 4, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 3, 4, 2, 1),
            nn.Tanh(),
        )
    )
    torch.save(made.state_dict(), tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", made, 5)


@pytest.mark.parametrize(
    ("options", "activation", "final"),
    [
        ({"activation": "leaky"}, nn.LeakyReLU(0.2), nn.Tanh()),
        ({"activation": "leaky", "slope": 0.01}, nn.LeakyReLU(0.01), nn.Tanh()),
        ({"final": "none"}, nn.ReLU(), nn.Identity()),
        ({"final": "sigmoid"}, nn.ReLU(), nn.Sigmoid()),
    ],
)
def test_activation_options(
    tmp_path: Path, options: dict[str, Any], activation: nn.Module, final: nn.Module
) -> None:
    network = randomised(examples(6, (8, 4), 3))
    torch.save(network.state_dict(), tmp_path / "g.pth")
    for k, module in enumerate(network):
        if isinstance(module, nn.ReLU):
            network[k] = activation
    network[-1] = final
    rescaled = isinstance(final, nn.Sigmoid)
    generator = check_same(
        tmp_path / "g.pth", lambda z: 2 * network(z) - 1 if rescaled else network(z), 6, **options
    )
    assert {**generator.info.options, **options} == generator.info.options


def test_epsilon(tmp_path: Path) -> None:
    network = randomised(examples(6, (8, 4), 3))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.8
    torch.save(network.state_dict(), tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 6, eps=0.8)


# ----------------------------------------------------------------------------------------- geometry


def stack_of(kernels: Sequence[tuple[int, int, int, int]]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k, (kernel, stride, padding, extra) in enumerate(kernels):
        a, b = 6 - k, 5 - k if k < len(kernels) - 1 else 3
        layers += [nn.ConvTranspose2d(a, b, kernel, stride, padding, extra), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Tanh())


@pytest.mark.parametrize(
    ("kernels", "options"),
    [
        ([(7, 1, 0, 0), (4, 2, 1, 0)], {}),  # 7, 14
        ([(4, 1, 0, 0), (2, 2, 0, 0), (4, 2, 1, 0)], {}),  # 4, 8, 16
        ([(4, 1, 0, 0), (5, 2, 2, 1), (5, 2, 2, 1)], {"strides": [1, 2, 2]}),  # 4, 8, 16
        ([(4, 1, 0, 0), (3, 2, 1, 1)], {"strides": "1,2"}),  # 4, 8
        ([(4, 1, 0, 0), (3, 2, 1, 0)], {"strides": "1,2", "paddings": "0,1"}),  # 4, 7
        ([(3, 2, 0, 0), (8, 4, 2, 0)], {"strides": "2,4"}),  # 3, 12
        (
            [(4, 1, 0, 0), (5, 2, 1, 1)],
            {"strides": [1, 2], "paddings": [0, 1], "output_paddings": [0, 1]},
        ),
    ],
)
def test_strides_and_paddings(
    tmp_path: Path, kernels: list[tuple[int, int, int, int]], options: dict[str, Any]
) -> None:
    network = randomised(stack_of(kernels))
    torch.save(network.state_dict(), tmp_path / "g.pth")
    generator = check_same(tmp_path / "g.pth", network, 6, **options)
    found = generator.info.options
    assert found["strides"] == [stride for _, stride, _, _ in kernels]
    assert found["paddings"] == [padding for _, _, padding, _ in kernels]
    assert found["output_paddings"] == [extra for _, _, _, extra in kernels]


def csinva(nc: int, padding: int) -> nn.Sequential:
    body = list(examples(6, (8, 6, 5, 4), nc))[:-2]
    return nn.Sequential(*body, nn.ConvTranspose2d(4, nc, 1, 1, padding, bias=False), nn.Tanh())


def test_last_kernel_of_one(tmp_path: Path) -> None:
    """csinva: MNIST crops to 28, CIFAR-10 does not; grey CIFAR-100 has MNIST's keys."""
    path = tmp_path / "g.pth"
    for nc, padding, options in ((1, 2, {}), (3, 0, {}), (1, 0, {"paddings": "0,1,1,1,0"})):
        network = randomised(csinva(nc, padding))
        torch.save(network.state_dict(), path)
        assert check_same(path, network, 6, **options).info.resolution == 32 - 2 * padding


def test_equal_channels_and_odd_kernels_are_asked_for(tmp_path: Path) -> None:
    first, last = nn.ConvTranspose2d(5, 6, 4), nn.ConvTranspose2d(6, 3, 4, 2, 1)
    path = tmp_path / "g.pth"
    for kind, middle in (
        ("conv", nn.Conv2d(6, 6, 3, padding=1)),
        ("up", nn.ConvTranspose2d(6, 6, 3, padding=1)),
    ):
        network = randomised(nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last, nn.Tanh()))
        torch.save(network.state_dict(), path)
        with pytest.raises(UsageError, match=r"2 has as many channels in as out.* kinds="):
            open_file(path)
        check_same(path, network, 5, kinds=f"up,{kind},up", strides="1,1,2")


def test_upsampling_between_convolutions_is_not_guessed(tmp_path: Path) -> None:
    """Dropout and nearest upsampling look alike in a file."""
    network = nn.Sequential(
        nn.ConvTranspose2d(5, 6, 4),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(6, 4, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 4, 2, 1),
    )
    randomised(network)
    torch.save(network.state_dict(), tmp_path / "g.pth")
    message = r"2 modules .* between 0 and 3: upsampling.*upsample=1,2,2 .*--gan module"
    with pytest.raises(StateMismatchError, match=message):
        open_file(tmp_path / "g.pth")
    check_same(tmp_path / "g.pth", network, 5, upsample="1,2,1", final="none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [1, 2]}, "strides has 2 numbers, the file 3 convolutions"),
        ({"paddings": [0, 1, 9]}, "no pixel is left|pixels wide"),
        ({"kinds": ["up", "conv", "up"]}, "3 is of kind up by its shape, not conv"),
        ({"output_paddings": [0, 2, 0]}, "output padding 2 must be less than its stride 2"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    torch.save(examples(6, (8, 4), 3).state_dict(), tmp_path / "g.pth")
    with pytest.raises(UsageError, match=message):
        open_file(tmp_path / "g.pth", **options)


# -------------------------------------------------------------------------------- refused, and ours


def damaged(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    state = dict(examples(6, (8, 4), 3).state_dict())
    change(state)
    return state


def without_statistics(state: dict[str, Any]) -> None:
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        del state[f"1.{name}"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("3.weight"), "4 and 1 both follow 0|4 has 4 channels, 0 8"),
        (lambda s: s.pop("1.running_mean"), "1 is no whole batch norm"),
        (lambda s: s.pop("1.bias"), "1 is a batch norm with one of weight and bias only"),
        (without_statistics, "1 is a norm without running statistics"),
        (lambda s: s.update({"3.weight": torch.zeros(7, 4, 4, 4)}), r"3\.weight of shape \(7, 4"),
        (lambda s: s.update({"3.weight": torch.zeros(8, 4, 4, 3)}), r"3\.weight has shape \(8, 4"),
        (lambda s: s.update({"6.weight": torch.zeros(4, 2, 4, 4)}), "6 gives 2 channels, not 1 or"),
        (lambda s: s.update({"9.scale": torch.zeros(1)}), r"9\.scale belongs to no linear layer"),
        (lambda s: s.update({"4.weight": torch.full((4,), torch.nan)}), "holds NaN or Inf"),
        (lambda s: s.update({"0.weight": s["0.weight"].long()}), "not floating point"),
        (lambda s: s.update({"9.weight": torch.zeros(5, 3)}), "9 is linear, 6 before it is not"),
    ],
)
def test_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    torch.save(damaged(change), tmp_path / "bad.pth")
    with pytest.raises(StateMismatchError, match=rf"bad\.pth.*({message})"):
        open_file(tmp_path / "bad.pth")


def test_whole_networks_are_code_and_refused(tmp_path: Path) -> None:
    torch.save(examples(6, (8, 4), 3), tmp_path / "netG.pth")
    with pytest.raises(UnsafeFileError, match=r"netG\.pth: refused.*Sequential"):
        open_file(tmp_path / "netG.pth")


def test_a_file_without_a_generator(tmp_path: Path) -> None:
    torch.save(discriminator().state_dict(), tmp_path / "netD.pth")
    with pytest.raises(StateMismatchError, match="not a stack of transposed convolutions"):
        open_file(tmp_path / "netD.pth")
    assert recognise(read_checkpoint(tmp_path / "netD.pth")) is None
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(StateMismatchError, match="holds no state dict"):
        open_file(tmp_path / "none.pth")


def test_no_file_of_another_family_is_claimed(shared: Path) -> None:
    """Every readable file under golden, and the segmenters' weights."""
    files = [*shared.glob("golden/*/*/*"), *shared.glob("golden/hostile/*")]
    files += shared.glob("real/weights/espnet*/*")
    asked = 0
    for path in files:
        if path.suffix in (".npz", ".json", ".md") or NOT_YET_READ & set(path.parts):
            continue
        try:
            checkpoint = read_checkpoint(path)
        except SeeingkitError:
            continue
        asked += 1
        family = path.parts[-3]
        linear = path.name == "G--300.ckpt" or path.parts[-2] == "cgan-mlp-r12"
        mine = family in ("dcgan", "dcgan_gan_zoo", "pytorch_gan") and not linear
        assert (recognise(checkpoint) is not None) == mine, path
        assert (mlp_gan.recognise(checkpoint) is not None) == linear, path
    assert asked > 30


@pytest.mark.parametrize("name", CASES)
def test_converted_files_give_the_same_images(shared: Path, tmp_path: Path, name: str) -> None:
    generator = open_file(golden(shared, "dcgan", name).file(), activation="leaky", slope=0.1)
    tensors, config = generator.export()
    path = write_portable(tmp_path / "ours.safetensors", tensors, "dcgan", config)
    again = open_file(path)
    latent = generator.latents(range(4))
    assert torch.equal(again(latent), generator(latent))
    assert again.info.options == generator.info.options
    assert again.boundaries == generator.boundaries
    assert recognise(read_checkpoint(path)) == "seeingkit safetensors"
    with pytest.raises(UsageError, match="but the file says"):
        open_file(path, paddings=[0] * 5)
    assert open_file(path, strides=generator.info.options["strides"]).info == again.info


def test_a_converted_file_that_was_changed(tmp_path: Path) -> None:
    torch.save(examples(6, (8, 4), 3).state_dict(), tmp_path / "g.pth")
    tensors, config = open_file(tmp_path / "g.pth").export()
    path = tmp_path / "ours.safetensors"
    write_portable(path, tensors, "dcgan", {**config, "noise": 1})
    with pytest.raises(StateMismatchError, match="noise: extra inputs"):
        open_file(path)
    config["layers"][1]["inputs"] = 9
    write_portable(path, tensors, "dcgan", config)
    with pytest.raises(StateMismatchError, match="3 takes 9 channels, 0 gives 8"):
        open_file(path)


# ----------------------------------------------------------------------------------------- property


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=4),
    nz=st.integers(1, 9),
    nc=st.sampled_from([1, 3]),
    prefix=st.sampled_from(["", "main.", "module.", "a.b.3."]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_example_network(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    nz: int,
    nc: int,
    prefix: str,
    bias: bool,
    seed: int,
) -> None:
    network = randomised(examples(nz, sizes, nc, bias), seed)
    path = tmp_path_factory.mktemp("any") / "g.pth"
    torch.save(prefixed(network.state_dict(), prefix), path)
    check_same(path, network, nz)


TENSOR_NAMES = st.from_regex(
    r"([a-c]\.)?[0-9]\.(weight|bias|running_mean|running_var|other)", fullmatch=True
)


@settings(max_examples=60)
@given(st.dictionaries(TENSOR_NAMES, st.lists(st.integers(0, 4), max_size=5), max_size=8))
def test_recognise_never_raises(shapes: dict[str, list[int]]) -> None:
    import io
    import tempfile

    stream = io.BytesIO()
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, stream)
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        file.write(stream.getvalue())
        file.flush()
        checkpoint = read_checkpoint(file.name)
    for ask in (recognise, mlp_gan.recognise):
        layout = ask(checkpoint)
        assert layout is None or layout.startswith("stack of ")


def test_identity_holds_what_changes_the_images(tmp_path: Path) -> None:
    torch.save(examples(6, (8, 4), 3).state_dict(), tmp_path / "g.pth")
    plain = open_file(tmp_path / "g.pth").info
    other = open_file(tmp_path / "g.pth", activation="leaky").info
    assert plain.weights_sha256 == other.weights_sha256
    assert plain.identity() != other.identity()
    assert plain.parameters == 6 * 8 * 16 + 16 + 512 + 8 + 192
