"""Tally images per second ÷ bare segmenter forward images per second, same batch and device.

Target: at least 0.90. The bare pass runs ``Segmenter.segment`` on images that lie in memory.
"""

from __future__ import annotations

import argparse
import tempfile

import torch
from interleaved import interleave, ratio, show

from seeingkit import load_segmenter, open_images, tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="minichurches")
    parser.add_argument("--segmenter", default="upernet:minichurches")
    parser.add_argument("--segmenter-weights")
    parser.add_argument("--preset")
    parser.add_argument("--n", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    segmenter = load_segmenter(args.segmenter, weights=args.segmenter_weights, device=args.device)
    source = open_images(args.source, preset=args.preset)
    if hasattr(source, "first"):
        source = source.first(args.n)
    n = len(source)
    images = source.read(range(n)).to(args.device)

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, n, args.batch_size):
                segmenter.segment(images[start : start + args.batch_size])
        if images.is_cuda:
            torch.cuda.synchronize()

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            tally(source, segmenter, store=folder, batch_size=args.batch_size)

    seconds = interleave({"bare segmenter": bare, "tally": whole}, args.rounds)
    show(seconds, "images", n)
    print(f"tally ÷ bare: {1 / ratio(seconds, 'bare segmenter', 'tally'):.3f} (target 0.90)")


if __name__ == "__main__":
    main()
