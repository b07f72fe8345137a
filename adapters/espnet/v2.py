"""Segmenter on ESPNetv2 weights (Mehta et al., CVPR 2019): Cityscapes and PASCAL VOC.

Guarantees the input the published weights were trained on: RGB in 0..1, minus the ImageNet mean and
over the ImageNet standard deviation, both sides multiples of 32.

The weights know objects of the size they have in pictures of 256 to 512 rows, and in small pictures
they lose small objects. On every third CamVid photograph of 0001TP the s=2.0 Cityscapes 512x256
weights reach a mean IoU of .479 at 352x256 and .526 at 512x384; on 13 church photographs of 256
pixels they call 5.0 % of the pixels person at 256 and 7.2 % at 384. So pictures are enlarged until
the shorter side has 384 pixels, unless ``size`` or ``shortest`` is given; larger ones keep
their size.

Output 19 of the Cityscapes weights ("background") was never trained and is left out, as in
``espnet``; it wins no pixel of either set of photographs. Label 0 of VOC is its background.
"""

from __future__ import annotations

from pathlib import Path

from seeingkit.weights import Checkpoint, networks_with

from ..catalog.segmenters import ESPNetV2Options
from .labels import choose_vocabulary
from .network import build
from .segmenter import PixelClassifier, Preparation, describe, read_weights
from .v2_network import STRIDE, ESPNetV2, read_layout

MARK = "base_net.level1.conv.weight"
"""A tensor that every file of this network has, and no other."""
SHORTEST = 384
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout of a file of this family, or None."""
    return (
        "ESPNetv2" if networks_with(checkpoint, [MARK, "bu_dec_l4.merge_layer.3.weight"]) else None
    )


def load(weights: Path | None, options: ESPNetV2Options) -> PixelClassifier:
    """Load an ESPNetv2 of any width ``s`` and number of outputs.

    Args:
        weights: a ``.pth`` or safetensors file with keys as in the authors' published files.
        options: network input size and vocabulary.

    Raises:
        WeightsError: no file, unreadable, or keys, shapes or values that do not fit.
        UsageError: an option that does not fit the weights.
    """
    file = read_weights(weights, "espnetv2", MARK)
    network = build(file, read_layout, ESPNetV2, "ESPNetv2 for segmentation")
    name, vocabulary = choose_vocabulary(options.vocabulary, network.layout.classes)
    preparation = Preparation(
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        divisor=1.0,
        reverse=False,
        multiple=STRIDE,
        shortest=options.shortest or SHORTEST,
        size=options.size,
    )
    info = describe(
        "espnetv2",
        file,
        network,
        options,
        ("RGB input with ImageNet's mean and deviation",),
        vocabulary=name,
        shortest=preparation.shortest,
        **network.layout.describe(),
    )
    return PixelClassifier(network, vocabulary, preparation, info)
