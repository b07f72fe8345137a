"""The conformance kit: what every generator, segmenter, image source … must do, as checks.

Guarantee: something that passes is fit for every analysis in seeingkit; something that does not
fails with an ``AssertionError`` of one line that names the check, the family and, where there is
one, the boundary. The kit ships with the package, so that third-party plugins use the same::

    from seeingkit.testing import check_generator, parametrize_with_checks

    check_generator(my_generator)                       # all checks, stops at the first failure

    @parametrize_with_checks({"mygan": my_generator})   # one pytest case per check
    def test_conformance(subject, check):
        check(subject)

Importing this does not import pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from seeingkit.contracts import (
    Annotator,
    Classifier,
    Features,
    Generator,
    ImageSource,
    Inverter,
    ModelEncoder,
    OnDevice,
    RewritableGenerator,
    Sampler,
    Segmenter,
)
from seeingkit.errors import UsageError

from .annotators import annotator_checks
from .checks import Check
from .classifiers import classifier_checks
from .devices import device_checks, transfers_of
from .encoders import encoder_checks
from .features import features_checks
from .generators import generator_checks
from .inverters import inverter_checks
from .samplers import sampler_checks
from .segmenters import segmenter_checks
from .sites import site_checks
from .sources import source_checks

__all__ = [
    "Check",
    "annotator_checks",
    "check_annotator",
    "check_classifier",
    "check_device",
    "check_encoder",
    "check_features",
    "check_generator",
    "check_inverter",
    "check_sampler",
    "check_segmenter",
    "check_sites",
    "check_source",
    "checks_for",
    "classifier_checks",
    "device_checks",
    "encoder_checks",
    "failures",
    "features_checks",
    "generator_checks",
    "inverter_checks",
    "parametrize_with_checks",
    "sampler_checks",
    "segmenter_checks",
    "site_checks",
    "source_checks",
    "transfers_of",
]


_CHECKS: dict[type, Callable[[], Sequence[tuple[str, Check[Any]]]]] = {
    Generator: generator_checks,
    Sampler: sampler_checks,
    Segmenter: segmenter_checks,
    Classifier: classifier_checks,
    Annotator: annotator_checks,
    Features: features_checks,
    ModelEncoder: encoder_checks,
    ImageSource: source_checks,
}
"""The checks of each contract; of two that fit, the first is the narrower one."""


def _run(subject: object, checks: Sequence[tuple[str, Check[Any]]]) -> None:
    for _, check in checks:
        check(subject)


def check_sampler(sampler: Sampler) -> None:
    """Run all checks of tier 1 (latents in, images out).

    Raises:
        AssertionError: the first check that fails, in one line.

    >>> check_sampler(seeingkit.load_generator("progan:minichurches"))
    """
    _run(sampler, sampler_checks())


def check_generator(generator: Generator) -> None:
    """As ``check_sampler``, with the checks of tier 2 (boundaries).

    >>> network = nn.Sequential(nn.ConvTranspose2d(4, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 5))
    >>> check_generator(seeingkit.AutoStaged(network, {"r4": "1"}, latent=(4, 1, 1)))
    """
    _run(generator, generator_checks())


def check_sites(generator: RewritableGenerator) -> None:
    """Run all checks of tier 3 (linear layers that can be rewritten); errors as ``check_sampler``.

    >>> network = nn.Sequential(nn.ConvTranspose2d(4, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 5))
    >>> check_sites(seeingkit.AutoStaged(network, {"r4": "1"}, latent=(4, 1, 1)))
    """
    _run(generator, site_checks())


def check_segmenter(segmenter: Segmenter, images: Tensor | None = None) -> None:
    """Run all checks of a segmenter; errors as ``check_sampler``.

    Args:
        images: (N, 3, H, W) float32 in [-1, 1] with N at least 2, or None for smooth noise of
            128 x 128 pixels.

    >>> images = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    >>> check_segmenter(seeingkit.load_segmenter("upernet:minichurches"), images)
    """
    _run(segmenter, segmenter_checks(images))


def check_annotator(annotator: Annotator, images: Tensor | None = None) -> None:
    """As ``check_segmenter``, for an annotator of any unit, without label maps.

    >>> check_annotator(seeingkit.load_segmenter("upernet:minichurches"), torch.zeros(2, 3, 64, 64))
    """
    _run(annotator, annotator_checks(images))


def check_classifier(classifier: Classifier, images: Tensor | None = None) -> None:
    """As ``check_segmenter``, for a classifier, which gives each image one class.

    >>> check_classifier(seeingkit.load_annotator("digit-reader:digits"), torch.zeros(2, 3, 32, 32))
    """
    _run(classifier, classifier_checks(images))


def check_features(features: Features, images: Tensor | None = None) -> None:
    """As ``check_segmenter``, for perceptual features; the noise has 64 x 64 pixels.

    >>> images = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
    >>> check_features(seeingkit.load_features("efficientnet-lite0"), images)
    """
    _run(features, features_checks(images))


def check_encoder(encoder: ModelEncoder, images: Tensor | None = None) -> None:
    """As ``check_segmenter``, for an encoder that comes with a generator; the noise has 64 x 64
    pixels, and images are square.

    >>> class Middle(ModelEncoder):
    ...     info = EncoderInfo(family="middle", size=8, latent=LatentSpec(shape=(3,)))
    ...     def posterior(self, inputs):
    ...         return Posterior(inputs.mean((2, 3)))
    >>> check_encoder(Middle())
    """
    _run(encoder, encoder_checks(images))


def check_device(subject: OnDevice, images: Tensor | None = None) -> None:
    """Check that a model runs on any device, without one: on a pretended GPU (``pretended``).

    It must compute from tensors of that device alone, give the CPU's numbers, and neither wait for
    the device nor send data there in a pass. Errors as ``check_sampler``.

    Args:
        subject: a generator, sampler, annotator, encoder or features, on the CPU.
        images: (N, 3, H, W) float32 in [-1, 1] with N at least 2 for a model of images, or None for
            smooth noise of 64 x 64 pixels.

    >>> check_device(seeingkit.load_generator("progan:minichurches"))
    """
    _run(subject, device_checks(images))


def check_source(source: ImageSource) -> None:
    """Run all checks of an image source; errors as ``check_sampler``.

    >>> check_source(seeingkit.open_images("minichurches", n=4))
    """
    _run(source, source_checks())


def check_inverter(inverter: Inverter, generator: Generator) -> None:
    """As ``check_sampler``, for an inverter on a generator: it inverts two images some ten times.

    >>> inverter = seeingkit.load_inverter("z", steps=2, perceptual="none")
    >>> check_inverter(inverter, seeingkit.load_generator("progan:minichurches"))
    """
    _run(inverter, inverter_checks(generator))


def checks_for(subject: object) -> Sequence[tuple[str, Check[Any]]]:
    """The checks that apply to a generator, sampler, segmenter, encoder, features or image source.

    Raises:
        UsageError: it is none of these.

    >>> [name for name, _ in checks_for(seeingkit.open_images("minichurches"))][:2]
    ['ids_unique', 'images_in_range']
    """
    for contract, checks in _CHECKS.items():
        if isinstance(subject, contract):
            return checks()
    kinds = (
        "Sampler, Generator, Annotator, Segmenter, Classifier, ModelEncoder, Features or "
        "ImageSource"
    )
    raise UsageError(f"a {type(subject).__name__} is no {kinds}")


def failures(subject: object) -> dict[str, str]:
    """Run every check and return the messages of those that fail, by the check's name.

    >>> failures(seeingkit.open_images("minichurches", n=4))
    {}
    """
    failed: dict[str, str] = {}
    for name, check in checks_for(subject):
        try:
            check(subject)
        except AssertionError as error:
            failed[name] = str(error)
    return failed


def parametrize_with_checks(
    subjects: Mapping[str, object] | Sequence[object],
) -> Callable[[Callable[..., Any]], Any]:
    """Decorator for a pytest function with the arguments ``subject`` and ``check``.

    Args:
        subjects: generators, samplers, segmenters, encoders, features or image sources, by the name
            to show or in a sequence (then the class names show).

    >>> @parametrize_with_checks({"churches": seeingkit.open_images("minichurches", n=4)})
    ... def test_source(subject, check):
    ...     check(subject)
    """
    import pytest

    if not isinstance(subjects, Mapping):
        subjects = {f"{type(s).__name__}{i}": s for i, s in enumerate(subjects)}
    cases = [
        pytest.param(subject, check, id=f"{shown}-{name}")
        for shown, subject in subjects.items()
        for name, check in checks_for(subject)
    ]
    return pytest.mark.parametrize(("subject", "check"), cases)
