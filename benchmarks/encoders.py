"""Layered against direct encoders: equal training budgets, several seeds, cuts of growing depth.

The claim under test is Bau et al. 2019, section 4.2: a layered encoder E = e_1 ∘ … ∘ e_n ∘ e_f is
far better than a direct one. Null: at the same budget both do equally well. For each generator,
kind and cut an encoder is trained on the generator's samples for the same CPU seconds of one core
(``--seconds``; its steps follow from the measured cost of each stage, the same for all seeds), then
checked on the same samples, which training never draws:

- ``z``, ``r``, ``image``: correlations of all coordinates with ground truth, after G(E(x)); r at
  ``--at`` for every encoder, so that cuts of different depth are compared at one place;
- ``psnr`` of G(E(x)) in dB; ``psnr of r``: of G_f(e_f(x)), which only a layered encoder gives.

The differences from the direct encoder are paired by seed and have a 95 % t interval over seeds.
The result of each training is appended to ``--out`` at once; those that are there are not repeated,
and further seeds take their steps.

    python benchmarks/encoders.py --seconds 80 --seeds 3 --out encoders.jsonl
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import torch
from scipy.stats import t as student
from torch import Tensor

from seeingkit import load_generator
from seeingkit.analyses.inversion.encoders.files import Kind, TrainedEncoder, build_network
from seeingkit.analyses.inversion.encoders.networks import LayeredEncoder
from seeingkit.analyses.inversion.encoders.recipes import FAST, Recipe, TrainingLosses
from seeingkit.analyses.inversion.encoders.training import CHECKED, train_encoder
from seeingkit.analyses.inversion.objectives import correlation, psnr
from seeingkit.analyses.inversion.samples import TRAIN_SEED, draw, states_at
from seeingkit.contracts import Generator

CASES = {
    "progan:minichurches": ("direct", "r4.conv1", "r8.conv1", "r16.conv1"),
    "stylegan2:minichurches": ("direct", "r8.conv1"),
}
SHARES = (0.2, 0.4, 0.4)
"""Of a layered encoder's budget: all e_i together, e_f, and E as a whole."""
MEASURES = ("z", "r", "image", "psnr", "psnr_r")


@dataclass(frozen=True)
class Result:
    """One trained encoder on the held-out samples; ``psnr_r`` is NaN for a direct one."""

    generator: str
    case: str
    seed: int
    steps: tuple[int, int, int]
    seconds: float
    z: float
    r: float
    image: float
    psnr: float
    psnr_r: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gan", nargs="*", default=list(CASES))
    parser.add_argument("--cases", nargs="*", help="direct, or cuts; default: those of CASES")
    parser.add_argument("--seconds", type=float, default=80, help="CPU seconds of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--at", default="r8.conv1", help="boundary at which r is compared")
    parser.add_argument("--out", type=Path, default=Path("encoders.jsonl"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = args.out.read_text("utf-8").splitlines() if args.out.exists() else []
    found = [Result(**json.loads(line)) for line in lines]
    done = {(one.generator, one.case, one.seed) for one in found}
    for name in args.gan:
        generator = load_generator(name)
        assert isinstance(generator, Generator)
        before = {one.case: one.steps for one in found if one.generator == name}
        recipes = {
            case: with_steps(replace(FAST, batch=args.batch), before[case])
            if case in before
            else budgeted(generator, case, replace(FAST, batch=args.batch), args.seconds)
            for case in args.cases or CASES[name]
        }
        for seed in range(args.seeds):  # interleaved, so that a busy hour falls on all cases
            for case, recipe in recipes.items():
                if (name, case, seed) not in done:
                    result = trained(generator, name, case, replace(recipe, seed=seed), args.at)
                    found.append(result)
                    with args.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(result)) + "\n")
    for name in args.gan:
        show(name, [one for one in found if one.generator == name], args.at)


def budgeted(generator: Generator, case: str, recipe: Recipe, seconds: float) -> Recipe:
    """The recipe with as many steps in each stage as fit its share of the budget."""
    kind, cut = place(case)
    network = build_network(kind, generator, cut, recipe.architecture()).train()
    losses = TrainingLosses(generator, cut, recipe)
    if not isinstance(network, LayeredEncoder):
        steps = max(1, round(seconds / cost(lambda: losses.direct(network))))
        return with_steps(recipe, (0, 0, steps))
    layers = sum(
        cost(lambda i=i: losses.layer(network, i)) for i in range(1, len(network.layers) + 1)
    )
    costs = layers, cost(lambda: losses.image(network.image)), cost(lambda: losses.whole(network))
    layer, image, tune = (
        max(1, round(s * seconds / c)) for s, c in zip(SHARES, costs, strict=True)
    )
    return with_steps(recipe, (layer, image, tune))


def with_steps(recipe: Recipe, steps: Sequence[int]) -> Recipe:
    """The recipe with steps for each e_i, for e_f, and for E."""
    return replace(recipe, layer_steps=steps[0], image_steps=steps[1], tune_steps=steps[2])


def cost(loss: Callable[[], Tensor], repeats: int = 5) -> float:
    """CPU seconds of one step, forward and back; the median, after a first one."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.process_time()
        loss().backward()
        seconds.append(time.process_time() - started)
    return sorted(seconds[1:])[repeats // 2]


def place(case: str) -> tuple[Kind, str]:
    """Kind and cut of a case."""
    return ("direct", "input") if case == "direct" else ("layered", case)


def trained(generator: Generator, name: str, case: str, recipe: Recipe, at: str) -> Result:
    """Train one encoder and measure it on samples that training does not draw."""
    kind, cut = place(case)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        path = Path(folder) / "encoder.safetensors"
        encoder = train_encoder(generator, kind, cut, recipe, path=path)
        seconds = time.process_time() - started
    steps = recipe.layer_steps, recipe.image_steps, recipe.tune_steps
    measured = {key: round(value, 4) for key, value in checked(generator, encoder, at).items()}
    result = Result(name, case, recipe.seed, steps, round(seconds, 1), **measured)
    print(result, flush=True)
    return result


def checked(generator: Generator, encoder: TrainedEncoder, at: str) -> dict[str, float]:
    """``MEASURES`` on held-out samples."""
    start, r, x = states_at(
        generator, draw(generator, CHECKED, TRAIN_SEED - 8 * CHECKED), ("input", at, "image")
    )
    with torch.no_grad():
        z, above = encoder.estimate(x.x)
        again = generator.advance(start.with_x(z), at)
        image = generator.advance(again).x
        best = math.nan
        if above is not None:  # with the carry that z gives: nothing of the truth is used
            state = generator.advance(start.with_x(z), encoder.cut)
            best = float(psnr(generator.advance(state.with_x(above)).x, x.x).mean())
    return {
        "z": correlation(start.x, z),
        "r": correlation(r.x, again.x),
        "image": correlation(x.x, image),
        "psnr": float(psnr(image, x.x).mean()),
        "psnr_r": best,
    }


def show(name: str, found: list[Result], at: str) -> None:
    """Means over seeds, and differences from the direct encoder of the same seed."""
    direct = {one.seed: one for one in found if one.case == "direct"}
    print(f"\n{name}, r at {at}; mean over seeds, [95 % interval of layered - direct]")
    for case in dict.fromkeys(one.case for one in found):
        rows = [one for one in found if one.case == case]
        cells = []
        for measure in MEASURES:
            values = [float(getattr(one, measure)) for one in rows]
            cell = f"{measure} {mean(values):.3f}"
            if case != "direct" and measure != "psnr_r":
                pairs = [
                    getattr(one, measure) - getattr(direct[one.seed], measure)
                    for one in rows
                    if one.seed in direct
                ]
                cell += interval(pairs)
            cells.append(cell)
        seconds = mean(one.seconds for one in rows)
        print(f"{case:10} {len(rows)} seeds, steps {rows[0].steps}, {seconds:.0f} CPU s: ", end="")
        print(" · ".join(cells))


def interval(values: list[float]) -> str:
    """95 % t interval of a mean."""
    if len(values) < 2:
        return ""
    half = student.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return f" [{mean(values) - half:+.3f}, {mean(values) + half:+.3f}]"


if __name__ == "__main__":
    main()
