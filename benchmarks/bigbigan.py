"""An encoder trained by the BigBiGAN losses beside direct and layered ones of the same generator.

    python -m benchmarks.bigbigan encoders --weights RUN/checkpoint.pth --seconds 150
    python -m benchmarks.bigbigan probe --weights RUN/checkpoint.pth

``encoders``: a direct and a layered encoder are trained on the generator's samples (recipe
``fast``, each ``--seconds`` of one core), and all three are asked for z of

- 256 samples of the generator that no training draws: correlations of z, of r at ``--at`` and of
  the pixels of G(E(x)) with the truth;
- 500 real scenes (series 2, which nothing was trained on): correlation and PSNR of pixels, and what
  is left of the class areas, by the shipped segmenter at 64 x 64, photo against reconstruction. For
  each photo the share of its area that is kept is the sum over classes of the smaller of both
  areas; for each class the areas are correlated over the photos. The row "photos at 32" is the
  photo itself at the generator's size: what is lost by size alone. 95 % intervals over photos.

``probe``: a linear classifier (logistic, L2 chosen on a quarter of its training scenes) on frozen
features (the encoder's last map, averaged over places) says which classes a scene shows (above
0.5 % of its pixels, true labels; classes in 5 to 95 % of the scenes): mean average precision on
scenes that nothing was trained on, for the encoder, and for the same network with random weights
and trained on the labels of the same scenes as the probe.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from seeingkit import load_generator, load_segmenter
from seeingkit.analyses.inversion.encoders.recipes import FAST
from seeingkit.analyses.inversion.encoders.training import CHECKED, train_encoder
from seeingkit.analyses.inversion.objectives import correlation, psnr
from seeingkit.analyses.inversion.samples import TRAIN_SEED, draw, states_at
from seeingkit.contracts import Generator
from seeingkit.models.encoders import load_encoder
from seeingkit_plugins.minichurches.catalog import REAL_SEED
from seeingkit_plugins.minichurches.scenes import OBJECTS
from seeingkit_plugins.minichurches.training import TRAIN_SEED as SCENES_SEED
from seeingkit_plugins.minichurches.training.bigbigan import Plan
from seeingkit_plugins.minichurches.training.bigbigan_networks import TrainedEncoder
from seeingkit_plugins.minichurches.training.labelled import scenes

from .encoders import budgeted

Floats = NDArray[np.float64]
Estimate = Callable[[Tensor], Tensor]
"""Images (N, 3, R, R) in [-1, 1] to z."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("encoders", "probe"))
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint.pth of a run")
    parser.add_argument("--seconds", type=float, default=300, help="CPU seconds of each training")
    parser.add_argument("--out", type=Path, default=Path("encoders"), help="folder of encoders")
    parser.add_argument("--at", help="boundary of r; default: the generator's default cut")
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--train", type=int, default=4_000, help="scenes of the probe")
    parser.add_argument("--test", type=int, default=2_000, help="scenes that test it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = load_generator(weights=args.weights)
    assert isinstance(generator, Generator)
    if args.what == "encoders":
        compare_encoders(generator, args)
    else:
        probe(args.weights, generator.info.resolution, args.train, args.test)


# ------------------------------------------------------------------------------- encoders compared


def compare_encoders(generator: Generator, args: argparse.Namespace) -> None:
    """Print a row for each encoder."""
    at = args.at or generator.default_cut
    photos = scenes(REAL_SEED, range(args.photos))[0]
    small = F.interpolate(photos, generator.info.resolution, mode="area")
    show("photos at 32", {}, kept(photos, small))
    for name, estimate in estimates(generator, at, args).items():
        with torch.no_grad():
            rebuilt = torch.cat([drawn(generator, estimate(part)) for part in small.split(50)])
        found = on_samples(generator, estimate, at) | {
            "photo pixels": correlation(small, rebuilt),
            "PSNR": float(psnr(rebuilt, small).mean()),
        }
        show(name, found, kept(photos, rebuilt))


def estimates(generator: Generator, at: str, args: argparse.Namespace) -> dict[str, Estimate]:
    """The encoder that came with the generator, and the two that are trained now or were."""
    given = load_encoder(generator=generator)
    found: dict[str, Estimate] = {"BigBiGAN's": lambda x: given.encode(x).mean}
    for kind, case in (("direct", "direct"), ("layered", at)):
        recipe = budgeted(generator, case, replace(FAST, batch=16), args.seconds)
        cut = "input" if kind == "direct" else at
        path = args.out / f"{kind}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        encoder = train_encoder(generator, kind, cut, recipe, path=path)  # type: ignore[arg-type]
        found[kind] = lambda x, encoder=encoder: encoder.estimate(x)[0]
    return found


def drawn(generator: Generator, z: Tensor) -> Tensor:
    """Images of z, (N, 3, R, R)."""
    images: Tensor = generator({"z": z})
    return images


def on_samples(generator: Generator, estimate: Estimate, at: str) -> dict[str, float]:
    """Correlations of z, r and pixels with the truth, on samples that no training draws."""
    latents = draw(generator, CHECKED, TRAIN_SEED - 8 * CHECKED)
    start, r, x = states_at(generator, latents, ("input", at, "image"))
    with torch.no_grad():
        z = estimate(x.x)
        again = generator.advance(start.with_x(z), at)
        image = generator.advance(again).x
    pairs = {"z": (start.x, z), "r": (r.x, again.x), "sample pixels": (x.x, image)}
    return {name: correlation(*pair) for name, pair in pairs.items()}


def kept(photos: Tensor, images: Tensor) -> dict[str, tuple[float, float]]:
    """Share of each photo's area that is kept, and correlation of class areas; 95 % half widths."""
    here, there = class_areas(photos), class_areas(images)
    shares = np.minimum(here, there).sum(1) / here.sum(1)
    chosen = (here > 0.005).mean(0) > 0.05  # classes in a twentieth of the photos
    resampled = np.random.default_rng(0).integers(0, len(here), (400, len(here)))
    value = _mean_correlation(here[:, chosen], there[:, chosen])
    spread = [
        _mean_correlation(here[rows][:, chosen], there[rows][:, chosen]) for rows in resampled
    ]
    return {
        "area kept": (float(shares.mean()), 1.96 * float(shares.std(ddof=1)) / len(shares) ** 0.5),
        "class areas": (value, 1.96 * float(np.std(spread))),
    }


def _mean_correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(0), b - b.mean(0)
    norms = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    each = np.divide((a * b).sum(0), norms, out=np.zeros_like(norms), where=norms > 0)
    return float(each.mean())


def class_areas(images: Tensor) -> Floats:
    """Shares of the pixels of each object class, (N, classes), by the shipped segmenter."""
    segmenter = load_segmenter("upernet:minichurches")
    labels = len(segmenter.vocabulary)
    parts = []
    with torch.no_grad():
        for part in images.split(50):
            large = F.interpolate(part, 64, mode="bicubic", antialias=True).clamp(-1, 1)
            maps = segmenter.label_maps(large)[:, 0].flatten(1)
            parts.append(F.one_hot(maps, labels).double().mean(1)[:, 1:])
    found: Floats = torch.cat(parts).numpy()
    return found


def show(name: str, found: dict[str, float], areas: dict[str, tuple[float, float]]) -> None:
    """One row."""
    cells = [f"{key} {value:.3f}" for key, value in found.items()]
    cells += [f"{key} {value:.3f} ± {half:.3f}" for key, (value, half) in areas.items()]
    print(f"{name:14}", " · ".join(cells), flush=True)


# ------------------------------------------------------------------------------------ linear probe


def probe(path: Path, side: int, train: int, test: int) -> None:
    """Print the mean average precision for each kind of features."""
    images, shown = labelled(SCENES_SEED, train, side)
    others, truth = labelled(REAL_SEED, test, side)
    rate = shown.mean(0)
    chosen = (rate > 0.05) & (rate < 0.95)
    shown, truth = shown[:, chosen], truth[:, chosen]
    print(f"{chosen.sum()} classes; {train} scenes train, {test} test", flush=True)
    print(f"{'chance':14} {average_precisions(np.zeros(truth.shape), truth).mean():.3f}")
    for name, network in networks(path, images, shown).items():
        with torch.no_grad():
            here, there = (
                torch.cat([network.features(part) for part in x.split(100)]).double().numpy()
                for x in (images, others)
            )
        found = average_precisions(fitted(here, shown)(there), truth)
        print(f"{name:14} {found.mean():.3f}", flush=True)


def labelled(seed: int, n: int, side: int) -> tuple[Tensor, NDArray[np.bool_]]:
    """Scenes (N, 3, side, side) in [-1, 1], and which classes each shows, (N, classes)."""
    images, objects, _ = scenes(seed, range(n))
    flat = objects.flatten(1)
    counts = torch.zeros(n, len(OBJECTS)).scatter_add_(1, flat, torch.ones(flat.shape))
    return F.interpolate(images, side, mode="area"), (counts / flat.shape[1] > 0.005).numpy()


def networks(path: Path, images: Tensor, shown: NDArray[np.bool_]) -> dict[str, TrainedEncoder]:
    """The encoder, the same network with random weights, and trained on the labels."""
    tensors: dict[str, Tensor] = (
        safetensors.torch.load_file(path)
        if path.suffix == ".safetensors"
        else torch.load(path, weights_only=True)
    )
    own = {k[8:]: v.float() for k, v in tensors.items() if k.startswith("encoder.")}
    width, z_dim = own["conv.weight"].shape[0], own["linear_dist_params.weight"].shape[0] // 2
    hidden = own["linear_dist_params.weight"].shape[1]
    torch.manual_seed(0)
    random = TrainedEncoder(width, Plan().stages, hidden, z_dim)
    trained, encoder = copy.deepcopy(random), copy.deepcopy(random)
    encoder.load_state_dict(own)
    supervise(trained, images, torch.from_numpy(shown).float())
    with torch.no_grad():  # batch norms need statistics of scenes
        random.train()
        for part in images.split(100):
            random(part)
    found = {"BigBiGAN's": encoder, "random": random, "supervised": trained}
    return {name: network.eval() for name, network in found.items()}


def supervise(network: TrainedEncoder, images: Tensor, shown: Tensor, epochs: int = 15) -> None:
    """Train the network and a linear layer on labels."""
    last = nn.Linear(network.res_lin1.linear1.layer.in_features, shown.shape[1])
    values = [*network.parameters(), *last.parameters()]
    steps = epochs * (len(images) // 50)
    optimiser = torch.optim.Adam(values, 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (50,))
        loss = F.binary_cross_entropy_with_logits(last(network.features(images[rows])), shown[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def fitted(features: Floats, shown: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """A logistic classifier of standardised features, each class by itself."""
    mean, scale = features.mean(0), features.std(0) + 1e-8
    part = len(features) * 3 // 4

    def standard(x: Floats) -> Floats:
        return (x - mean) / scale

    x = standard(features)
    strengths = (1e-4, 1e-3, 1e-2, 1e-1)
    tried = [
        average_precisions(_scores(x[part:], _logistic(x[:part], shown[:part], l2)), shown[part:])
        for l2 in strengths
    ]
    best = strengths[int(np.argmax([t.mean() for t in tried]))]
    weights = _logistic(x, shown, best)
    return lambda other: _scores(standard(other), weights)


def _scores(x: Floats, weights: Floats) -> Floats:
    found: Floats = x @ weights[:-1] + weights[-1]
    return found


def _logistic(x: Floats, shown: NDArray[np.bool_], l2: float) -> Floats:
    """Weights and offset, (features + 1, classes), of least penalised logistic loss."""
    n, features = x.shape
    signs = np.where(shown, 1.0, -1.0)
    shape = (features + 1, shown.shape[1])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        margins = signs * _scores(x, weights)
        slope = -signs / (1 + np.exp(np.clip(margins, -500, 500))) / n
        gradient = np.concatenate((x.T @ slope + l2 * weights[:-1], slope.sum(0, keepdims=True)))
        value = np.logaddexp(0, -margins).sum() / n + l2 / 2 * (weights[:-1] ** 2).sum()
        return float(value), gradient.ravel()

    found: Floats = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x
    return found.reshape(shape)


def average_precisions(scores: Floats, truth: NDArray[np.bool_]) -> Floats:
    """For each class the mean of the precisions at its scenes, ties at their expected value.

    >>> average_precisions(np.array([[3.0], [2.0], [1.0]]), np.array([[True], [False], [True]]))
    array([0.83333333])
    """
    found = []
    for score, true in zip(scores.T, truth.T, strict=True):
        levels, where = np.unique(-score, return_inverse=True)
        hits = np.cumsum(np.bincount(where, true, len(levels)))
        seen = np.cumsum(np.bincount(where, minlength=len(levels)))
        gained = np.diff(hits, prepend=0)
        found.append(float((hits / seen * gained).sum() / max(true.sum(), 1)))
    return np.array(found)


if __name__ == "__main__":
    main()
