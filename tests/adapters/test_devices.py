"""Every registered model computes on a device what it computes on the CPU, without a transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seeingkit import load_features, load_generator, load_segmenter
from seeingkit.contracts import OnDevice
from seeingkit.models.encoders import load_encoder
from seeingkit.models.loading import load_annotator
from seeingkit.models.registry import registry
from seeingkit.specs import GanGroupSpec
from seeingkit.testing.devices import transfers_of

KINDS = ("gan", "encoder", "segmenter", "features", "annotator")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are small; more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Case:
    """How to make a model: of a golden file, where there is one, or by hand.

    Attributes:
        family: registered name.
        make: from the file (else an empty folder) to the model.
        golden: below ``../shared/golden``.
        images: for models of images.
        slow: more than a few seconds.
        foreign: folder of a library's code whose own transfers are its matter.
    """

    family: str
    make: Callable[[Path], OnDevice]
    golden: str = ""
    images: tuple[int, int] = (32, 32)
    slow: bool = False
    foreign: str = "-"


def gan(family: str, golden: str, slow: bool = False, **options: Any) -> Case:
    """A generator of a golden file."""
    return Case(
        family,
        lambda path: load_generator(family, weights=path, **options),
        golden,
        slow=slow,
    )


def segmenter(family: str, golden: str, slow: bool = False, **options: Any) -> Case:
    """A segmenter of a golden file or folder."""
    return Case(
        family,
        lambda path: load_segmenter(family, weights=path, **options),
        golden,
        slow=slow,
    )


def module(folder: Path) -> OnDevice:
    """A user's own network, from a file of Python code."""
    (folder / "mine.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.ConvTranspose2d(5, 8, 4), nn.ReLU(True),\n"
        "                         nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())\n"
    )
    return load_generator("module", reference=f"{folder / 'mine.py'}:make", latent="5,1,1")


def espnet(folder: Path) -> OnDevice:
    from tests.adapters import test_espnet as by_hand

    network = by_hand.randomised(by_hand.ESPNet(by_hand.SMALL_V1))
    return by_hand.load_v1(by_hand.write(network, folder / "small.pth"), shortest=8)


def espnetv2(folder: Path) -> OnDevice:
    from tests.adapters import test_espnet as by_hand

    network = by_hand.randomised(by_hand.ESPNetV2(by_hand.SMALL_V2))
    return by_hand.load_v2(by_hand.write(network, folder / "small.pth"), shortest=32)


def transformers(name: str) -> Callable[[Path], OnDevice]:
    def make(folder: Path) -> OnDevice:
        pytest.importorskip("transformers")
        from tests.adapters import test_transformers_segmenters as by_hand

        saved = by_hand.save(by_hand.BUILDERS[name](), folder / name)
        return load_segmenter("transformers", weights=saved)

    return make


def vgg16(folder: Path) -> OnDevice:
    from tests.analyses.inversion.test_features import state

    torch.save(state(), folder / "vgg16.pth")
    return load_features("vgg16", weights=folder / "vgg16.pth", layer="relu2_2")  # type: ignore[return-value]


def encoder(path: Path) -> OnDevice:
    return load_encoder(generator=load_generator(weights=path))  # type: ignore[arg-type]


def shipped(load: Callable[[str], Any], name: str) -> Callable[[Path], OnDevice]:
    return lambda folder: load(name)  # type: ignore[no-any-return]


CASES = [
    gan("ali", "ali_9310gaurav/latent8/netG_epoch_90.pth"),
    gan("bigbigan", "bigbigan_small/gray-r32/checkpoint_50.pth"),
    gan("biggan", "biggan_ajbrock/unshared-r32/G_ema.pth"),
    gan("biggan", "bigbigan_x1/r128/BigBiGAN_x1.pth", slow=True),
    gan("biggan", "biggan_hf/deep-r32/pytorch_model.bin", slow=True),
    gan(
        "cyclegan",
        "cyclegan_junyanz/resnet9-instance-old-r32-legacyfile/horse2zebra.pth",
        resolution=32,
    ),
    gan("dcgan", "dcgan/examples-r64/netG.pth"),
    gan("dcgan", "pytorch_gan/acgan-r16/generator.pth"),
    gan("mlp-gan", "mnist_mlp_gan/real-G--300/G--300.ckpt"),
    gan("pix2pix", "pix2pix_junyanz/unet128-batch-dropout/latest_net_G.pth"),
    gan("progan", "pgan_gan_zoo/alpha-r16/*.pth"),
    gan("progan", "progan_pth/plain-r32/*.pth"),
    gan("progan", "progan_pth/ablation-simple-r128/*.pth", slow=True),
    gan("progan", "progan_tf_pkl/labels-unfused-r16/*.pkl"),
    gan("resnet-gan", "mimicry/cganpd-r32-cond/*.pth"),
    gan("resnet-gan", "studiogan/big_resnet-cbn-sn-attn-r32/*.pth", slow=True),
    gan("resnet-gan", "wgan_gp_resnet/r16/*.pt"),
    gan("sagan", "sagan_heykeetae/conv8/*.pth"),
    gan("stargan", "stargan_yunjey/celeba5-r32/*.ckpt", resolution=32),
    gan("stylegan1", "stylegan1_rosinality/bare-step3/*.model", step=3),
    gan("stylegan1", "stylegan_tf_pkl/fused-labels-r128/*.pkl", slow=True),
    gan("stylegan2", "stylegan2_ada_pkl/cond-resnet-r16/*.pkl"),
    gan("stylegan2", "stylegan2_ada_pkl/uncond-skip-r32/*.pkl", slow=True),
    gan("stylegan2", "stylegan2_rewriting/seq-native-r16/*.pt", slow=True),
    gan("stylegan2", "stylegan2_rosinality/nonoise-legacyfile-r8/*.pt"),
    gan("stylegan2", "stylegan2_tf_pkl/labels-resnet-r16/*.pkl", slow=True),
    gan("stylegan3", "stylegan3_pkl/t-r32/*.pkl", slow=True),
    gan("stylegan3", "stylegan3_pkl/r-cond-r32/*.pkl"),
    Case("module", module),
    Case("progan", shipped(load_generator, "progan:minichurches"), slow=True),
    Case("stylegan2", shipped(load_generator, "stylegan2:minichurches"), slow=True),
    Case("ali", encoder, "ali_9310gaurav/latent8/netG_epoch_90.pth"),
    Case("bigbigan", encoder, "bigbigan_small/gray-r32/checkpoint_50.pth"),
    segmenter("upernet", "upernet_upp/small-resnet50-upernet", segsizes=(64,)),
    segmenter("upernet", "upernet_upp/r256-ds4", slow=True, planes="all"),
    segmenter("semseg", "semseg/resnet18dilated-ppm_deepsup"),
    segmenter("semseg", "semseg/resnet50-upernet", slow=True),
    Case("espnet", espnet),
    Case("espnetv2", espnetv2),
    Case("transformers", transformers("segformer"), images=(64, 64), slow=True),
    Case("transformers", transformers("dpt"), images=(64, 64)),
    Case("transformers", transformers("mask2former"), "", (64, 64), True, "mask2former/"),
    Case("vgg16", vgg16),
    Case("efficientnet-lite0", shipped(load_features, "efficientnet-lite0")),
    Case("digit-reader", shipped(load_annotator, "digit-reader:digits")),
]


def _name(case: Case) -> str:
    where = case.golden.rpartition("/")[0] if "." in case.golden[-8:] or "*" in case.golden else ""
    return f"{case.family} {where or case.golden or 'made here'}"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if case.slow else (), id=_name(case))
        for case in CASES
    ],
)
def test_a_model_runs_on_any_device(
    case: Case, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path
    if case.golden:
        (path,) = (request.getfixturevalue("shared") / "golden").glob(case.golden)
    subject = case.make(path)
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, *case.images, generator=draw) * 2 - 1
    found = [x for x in transfers_of(subject, images) if not x.place.startswith(case.foreign)]
    assert found == []
    for tensor in _tensors(subject):
        assert tensor.device.type == "cpu"


def _tensors(subject: OnDevice) -> list[Tensor]:
    network = getattr(subject, "module", None) or getattr(subject, "network", None)
    assert isinstance(network, nn.Module)
    return [*network.parameters(), *network.buffers()]


def test_every_registered_model_is_among_them() -> None:
    tried = {case.family for case in CASES}
    for kind in KINDS:
        specs = [spec for spec in registry().specs(kind) if not isinstance(spec, GanGroupSpec)]
        targets: dict[str, Any] = {spec.name: spec.target for spec in specs}  # type: ignore[attr-defined]
        known = {target for name, target in targets.items() if name in tried}
        assert targets and not [name for name, target in targets.items() if target not in known]
