"""Modes of stacked digits, by the protocol of VEEGAN and PacGAN: 26,000 samples, several seeds.

For each seed as many images are drawn from the generator: modes that are read, modes that are
drawn beyond the reader's mistakes, and the divergence of the shares in nats; the floor is what as
many images with the real shares give. Images of different seeds have no latent in common.

    python benchmarks/stacked_digits.py
    python benchmarks/stacked_digits.py --gan dcgan:stacked-digits --seeds 5 --n 26000
"""

from __future__ import annotations

import argparse
from statistics import mean, stdev

from seeingkit import load_annotator, load_generator, open_images, tally
from seeingkit.analyses.comparison.modes import compare_modes
from seeingkit.images import SamplerSource


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gan", default="dcgan:stacked-digits")
    parser.add_argument("--data", default="stacked-digits")
    parser.add_argument("--reader", default="digit-reader:stacked-digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n", type=int, default=26_000)
    args = parser.parse_args()
    reader, generator = load_annotator(args.reader), load_generator(args.gan)
    images = open_images(args.data, n=args.n)
    real = tally(images, reader, batch_size=100)
    seen, drawn, nats = [], [], []
    for k in range(args.seeds):
        source = SamplerSource(generator, args.n, k * args.n, preset=images.preset, batch=100)
        made = tally(source, reader, batch_size=100)
        found = compare_modes(real, made, seed=k, level=0.05)
        assert found is not None
        seen.append(found.generated_seen)
        drawn.append(found.drawn or 0)
        nats.append(found.kl)
        low, high = found.kl_range
        print(
            f"seed {k * args.n}: read as {found.generated_seen} of {found.labels} modes (real "
            f"{found.expected_seen:.0f}), drawn {found.drawn}, KL {found.kl:.3f} (equal shares "
            f"{found.kl_expected:.3f}, {low:.3f} to {high:.3f})",
            flush=True,
        )
    for name, values in (("read", seen), ("drawn", drawn), ("KL", nats)):
        spread = f" ± {stdev(values):.3g}" if len(values) > 1 else ""
        print(f"{name}: {mean(values):.4g}{spread}")


if __name__ == "__main__":
    main()
