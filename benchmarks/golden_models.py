"""Models of ``../shared/golden`` on a device: the conformance kit there, and the CPU's numbers.

Stated tolerances, with TF32 off for the comparison (a GPU's default takes fewer bits, and its
difference stands beside): images and features within 1e-3 of max(1, largest number); of labels at
most 1 pixel in 1,000 is another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from seeingkit import load_generator, load_segmenter
from seeingkit.contracts import Sampler, Segmenter
from seeingkit.errors import SeeingkitError, one_line
from seeingkit.models.computing import Computing
from seeingkit.models.probe import trial_latents
from seeingkit.testing import failures
from seeingkit.testing.checks import noise_images

IMAGES, LABELS = 1e-3, 1e-3
_SUFFIXES = (".pth", ".pt", ".pkl", ".model", ".bin", ".ckpt", ".safetensors")
_APART = ("hostile", "dissection", "rewriting", "prroi_pool", "diffusers_ddpm", "diffusers_vae")
_SEGMENTERS = {"upernet_upp": "upernet", "semseg": "semseg"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "stylegan1_rosinality/bare-step3": {"step": 3},
    "stylegan1_rosinality/training-step5-fused": {"step": 5},
    "progan_pth/ablation-equallr-r128": {"variant": "equallr"},
    "cyclegan_junyanz/resnet9-instance-old-r32-legacyfile": {"resolution": 32},
    "cyclegan_junyanz/resnet9-instance-r64": {"resolution": 64},
    "stargan_yunjey/celeba5-r32": {"resolution": 32},
}
_OTHERS = ("state_dict.pth", "D--300.ckpt")  # a training state, and a discriminator
QUICK = ("dcgan_gan_zoo/r64", "stylegan2_rosinality/nonoise-legacyfile-r8")

Model = Sampler | Segmenter


def cases(golden: Path, only: Sequence[str] = ()) -> Iterator[tuple[str, Callable[[], Model]]]:
    """The name of each case, and how to load it; ``only`` those, or all."""
    for folder in sorted(path for path in golden.glob("*/*") if path.is_dir()):
        family, name = folder.parent.name, f"{folder.parent.name}/{folder.name}"
        if family in _APART or (only and name not in only):
            continue
        if family in _SEGMENTERS:
            yield name, lambda f=folder, s=_SEGMENTERS[family]: load_segmenter(s, weights=f)
            continue
        for path in sorted(folder.iterdir()):
            encoder = path.name.startswith("netE")
            if path.suffix in _SUFFIXES and path.name not in _OTHERS and not encoder:
                options = _OPTIONS.get(name, {})
                yield name, lambda p=path, o=options: load_generator(weights=p, **o)


def tried(load: Callable[[], Model], device: str, kit: bool = True) -> dict[str, Any]:
    """One case on the device: failures of the kit, and differences from the CPU."""
    started = time.perf_counter()
    found: dict[str, Any] = {}
    try:
        model = load()
    except SeeingkitError as error:
        return {**found, "not_loaded": one_line(str(error))[:200]}
    wanted = _numbers(model)
    model.to(device)
    with Computing(precision="float32").switched():
        found |= _differences(_numbers(model), wanted)
    found["difference_by_default"] = _differences(_numbers(model), wanted)["difference"]
    found["family"] = model.info.family
    found["failures"] = failures(model) if kit else {}
    found["seconds"] = round(time.perf_counter() - started, 2)
    close = found["difference"] <= IMAGES and found["labels_differ"] <= LABELS
    found["right"] = close and not found["failures"]
    return found


def _numbers(model: Model) -> list[Tensor]:
    """Images of four latents; or labels of noise, and the scores of one label."""
    if isinstance(model, Segmenter):
        images = noise_images(2, 64).to(model.device)
        return [model.segment(images).cpu(), model.score(images, 1).detach().cpu()]
    latent = trial_latents(model, range(4))
    there = {key: value.to(model.device) for key, value in latent.items()}
    return [model(there).cpu()]


def _differences(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> dict[str, float]:
    """The greatest difference of numbers as a share of max(1, greatest), and of labels."""
    numbers, labels = 0.0, 0.0
    for a, b in zip(found, wanted, strict=True):
        if b.is_floating_point():
            most = max(1.0, float(b.abs().max()))
            numbers = max(numbers, float((a - b).abs().max()) / most)
        else:
            labels = max(labels, float((a != b).double().mean()))
    return {"difference": numbers, "labels_differ": labels}
