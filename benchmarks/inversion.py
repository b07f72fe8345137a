"""Layer inversion: batched against one image at a time, and preset fast against paper.

1. Images per hour at equal final loss. The baseline is what the paper's code does: one image at a
   time, the same objective and the same number of steps by ``torch.optim.Adam``. Targets: 1.3 times
   on CPU, 5 times on a GPU.
2. Quality and cost of the presets on the same photos and generator samples: PSNR, pixel L1,
   and seconds. ``--paper-steps 3000`` is the published schedule.

Both interleaved in one run; losses are printed beside the times.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import torch
from interleaved import interleave, ratio, show
from torch import Tensor

from seeingkit import load_generator, load_inverter, open_images
from seeingkit.analyses.inversion.objectives import mean_absolute, mean_square
from seeingkit.analyses.inversion.prepared import LayerPrepared
from seeingkit.contracts import Generator, Inversion, State
from seeingkit.images import SamplerSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", default="progan:minichurches")
    parser.add_argument("--weights")
    parser.add_argument("--data", default="minichurches")
    parser.add_argument("--encoder", default="found")
    parser.add_argument("--n", type=int, default=16, help="photos, and as many generator samples")
    parser.add_argument("--steps", type=int, default=100, help="steps of the batching benchmark")
    parser.add_argument("--paper-steps", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    generator = load_generator(args.gan, weights=args.weights, device=args.device)
    assert isinstance(generator, Generator)
    size = generator.info.resolution
    photos = open_images(args.data, preset="paper", resolution=size).read(range(args.n))
    own = SamplerSource(generator, args.n, 12345, preset=None).generate(range(args.n))
    photos, own = photos.to(args.device), own.clamp(-1, 1)
    batching(generator, photos, args.steps, args.rounds)
    presets(generator, photos, own, args.encoder, args.paper_steps, args.rounds)


def batching(generator: Generator, photos: Tensor, steps: int, rounds: int) -> None:
    """The same minimisation from the average r, batched and one by one."""
    options = {"encoder": "none", "perceptual": "none", "steps": steps, "frames": 0}
    inverter = load_inverter("layered+r", **options)
    prepared = inverter.prepare(generator)
    assert isinstance(prepared, LayerPrepared)
    losses: dict[str, Tensor] = {}

    def batched(size: int) -> None:
        found = inverter.invert(generator, photos, prepared=prepared, batch_size=size)
        losses[f"batch of {size}"] = found.loss

    def one_by_one() -> None:
        losses["one at a time"] = torch.stack(
            [alone(prepared, photo[None], steps) for photo in photos]
        )

    n = len(photos)
    cases = {f"batch of {n}": lambda: batched(n), "one at a time": one_by_one}
    seconds = interleave(cases, rounds)
    show(seconds, "images", n)
    for name, loss in losses.items():
        print(f"{name:34} final loss {float(loss.mean()):.5f}")
    faster = ratio(seconds, f"batch of {n}", "one at a time")
    print(f"batched ÷ one at a time: {faster:.2f} (target 1.3 on CPU, 5 on a GPU)")


def alone(prepared: LayerPrepared, photo: Tensor, steps: int) -> Tensor:
    """One image by plain torch.optim.Adam: the objective of preset fast, without a batch."""
    cut, generator = prepared.cut, prepared.generator
    scale = prepared.scales[cut]
    weight = prepared.preset.residual_weight
    rate = prepared.schedule.rate * scale
    base = prepared.averages()
    delta = torch.zeros_like(base.x, requires_grad=True)
    optimiser = torch.optim.Adam([delta], lr=rate)
    loss = torch.zeros(())
    for step in range(steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = 0.5 * rate * (1 + math.cos(math.pi * step / steps))
        image = generator.advance(State(cut, base.x + delta, base.carry)).x
        loss = mean_absolute(image, photo)[0] + weight * mean_square(delta / scale)[0]
        if step == steps:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.detach().double()


def presets(
    generator: Generator, photos: Tensor, own: Tensor, encoder: str, paper_steps: int, rounds: int
) -> None:
    """Quality and cost of ``fast`` and ``paper`` from the same encoder."""
    images = torch.cat([photos, own])
    n = len(photos)
    # Residuals of the paper's text (also at the cut), so that both can reach the same images.
    makers = {
        "fast": {},
        f"paper, {paper_steps} steps": {"preset": "paper", "steps": paper_steps},
        f"paper + δ_n, {paper_steps} steps": {
            "preset": "paper",
            "steps": paper_steps,
            "residuals": "all",
        },
    }
    found: dict[str, Inversion] = {}
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(max(1, rounds // 3)):
        for name, options in makers.items():
            inverter = load_inverter(
                "layered+r", encoder=encoder, perceptual="none", frames=0, **options
            )
            prepared = inverter.prepare(generator)
            started = time.perf_counter()
            found[name] = inverter.invert(
                generator, images, prepared=prepared, batch_size=len(images)
            )
            seconds[name].append(time.perf_counter() - started)
    for name, one in found.items():
        pixel = mean_absolute(one.reconstruction, one.images)
        print(
            f"{name:34} photos {float(one.psnr[:n].mean()):.1f} dB, "
            f"L1 {float(pixel[:n].mean()):.4f} · own {float(one.psnr[n:].mean()):.1f} dB, "
            f"L1 {float(pixel[n:].mean()):.4f} · "
            f"{statistics.median(seconds[name]) / len(images):.2f} s per image, "
            f"{float(one.steps.double().mean()):.0f} steps"
        )
    slow = statistics.median(seconds[f"paper, {paper_steps} steps"])
    print(f"fast is {slow / statistics.median(seconds['fast']):.1f} times faster than paper")


if __name__ == "__main__":
    main()
