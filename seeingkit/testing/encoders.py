"""Checks of encoders that come with a generator, as ``seeingkit.contracts`` promises them.

Guarantee: an encoder that passes sees each image in the size, colours and range that it declares,
gives it one latent whatever stands beside it and was seen before, and is never taken for another
generator's.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import (
    Boundary,
    Generator,
    GeneratorInfo,
    LatentSpec,
    ModelEncoder,
    State,
)
from seeingkit.contracts.encoders import LUMA
from seeingkit.errors import StateMismatchError
from seeingkit.models.encoders import check_belongs

from .checks import (
    BATCH_TOLERANCE,
    Check,
    checks_in,
    noise_images,
    refused,
    require,
    require_again,
    require_json,
    require_same,
)

SEEN = 1e-4
"""Largest difference between the network's images and what is declared of them."""


def identity_is_json(encoder: ModelEncoder, images: Tensor) -> None:
    """Identity and record can be written down and compared."""
    require_json(encoder.identity(), "identity()")
    require_json(encoder.about(), "about()")
    require(bool(encoder.info.family), "info.family is empty")


def declaration_is_possible(encoder: ModelEncoder, images: Tensor) -> None:
    """A direct encoder, from the image to the input, with a range and generators to belong to."""
    info, (low, high) = encoder.info, encoder.info.value_range
    require(encoder.kind == "direct", f"kind is {encoder.kind!r}, not 'direct'")
    require(encoder.cut == "input", f"cut is {encoder.cut!r}, not 'input'")
    finite = math.isfinite(low) and math.isfinite(high)
    require(finite and low < high, f"value_range goes from {low:g} to {high:g}")
    require(bool(info.latent.shape), "the latent has no shape")
    require(all(info.generators), "a generator that it may belong to has no name")


def network_sees_what_is_declared(encoder: ModelEncoder, images: Tensor) -> None:
    """``inputs`` gives (N, channels, size, size) float32: grey by luma, scaled to the range."""
    info, (low, high) = encoder.info, encoder.info.value_range
    flat = torch.stack([torch.full_like(images[0], level) for level in (-1.0, 0.0, 1.0)])
    for given in (images, F.interpolate(images, scale_factor=2.0), flat):
        seen, expected = encoder.inputs(given), (len(given), info.channels, info.size, info.size)
        kind = f"{seen.dtype} {tuple(seen.shape)}"
        fits = tuple(seen.shape) == expected and seen.dtype == torch.float32
        require(fits, f"of {tuple(given.shape)} the network sees {kind}, not float32 {expected}")
    levels = torch.tensor([low, (low + high) / 2, high], device=flat.device)
    wanted = levels.reshape(3, 1, 1, 1).expand(3, *expected[1:])
    message = "black, grey and white as the network sees them"
    require_same(encoder.inputs(flat), wanted.contiguous(), message, SEEN)
    own = F.interpolate(images, size=(info.size, info.size))
    shown = own
    if info.channels == 1:
        shown = (own * own.new_tensor(LUMA).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    wanted = low + (shown + 1) * ((high - low) / 2)
    require_same(encoder.inputs(own), wanted, "images of its own size", SEEN)
    seen = encoder.posterior(encoder.inputs(images)).mean
    require_same(encoder.encode(images).mean, seen, "encode(), of other images than inputs()", SEEN)


def latents_have_their_form(encoder: ModelEncoder, images: Tensor) -> None:
    """``estimate`` gives float32 latents (N, …) of the declared shape, and no x at a cut."""
    found = encoder.estimate(images)
    pair = isinstance(found, tuple) and len(found) == 2
    require(pair, f"estimate() gave a {type(found).__name__}, not the latent and None")
    z, x = found
    expected = (len(images), *encoder.info.latent.shape)
    kind = f"{z.dtype} {tuple(z.shape)}"
    fits = tuple(z.shape) == expected and z.dtype == torch.float32
    require(fits, f"latents are {kind}, declared float32 {expected}")
    require(x is None, "there is an x at a cut, which a direct encoder does not give")
    require(z.device == images.device, f"latents are on {z.device}, images on {images.device}")


def latents_finite(encoder: ModelEncoder, images: Tensor) -> None:
    """No NaN and no infinity in means, deviations and estimates, for flat images either."""
    flat = torch.stack([torch.full_like(images[0], level) for level in (-1.0, 0.0, 1.0)])
    for what, given in (("noise", images), ("flat images", flat)):
        parts = {"means": encoder.encode(given).mean, "deviations": encoder.encode(given).std}
        for name, part in (parts | {"estimates": encoder.estimate(given)[0]}).items():
            if part is not None:
                require(bool(torch.isfinite(part).all()), f"{name} of {what} are not finite")


def spread_as_declared(encoder: ModelEncoder, images: Tensor) -> None:
    """A stochastic encoder gives positive deviations, of the means' shape; another one none."""
    found, stochastic = encoder.encode(images), encoder.info.stochastic
    require((found.std is not None) == stochastic, f"declared stochastic: {stochastic}")
    if found.std is not None:
        shapes = f"{tuple(found.std.shape)}, means {tuple(found.mean.shape)}"
        require(found.std.shape == found.mean.shape, f"deviations are {shapes}")
        require(bool((found.std > 0).all()), "a deviation is not above 0")


def mean_unless_asked(encoder: ModelEncoder, images: Tensor) -> None:
    """The estimate is the mean; drawn, where that was asked, from image and seed alone."""
    found, (z, _) = encoder.encode(images), encoder.estimate(images)
    if encoder.info.draw == "mean" or found.std is None:
        require_again(z, found.mean, "estimates, against the means")
        return
    require(not torch.equal(z, found.mean), "draw is 'sample', and the estimates are the means")
    noise = (z - found.mean) / found.std
    apart = float((noise[0] - noise[1]).abs().max())
    require(apart > SEEN, "different images are given the same draw")


def latents_repeat(encoder: ModelEncoder, images: Tensor) -> None:
    """The same images give the same latents, whatever was seen before; no random number of the
    process is used."""
    torch.manual_seed(0)
    first = encoder.estimate(images)[0].clone()
    before = torch.random.get_rng_state()
    encoder.estimate(images.flip(3))
    torch.manual_seed(1)
    require_again(encoder.estimate(images)[0], first, "latents of the same images")
    torch.random.set_rng_state(before)
    encoder.estimate(images)
    require(torch.equal(torch.random.get_rng_state(), before), "it draws the process's numbers")


def batch_invariance(encoder: ModelEncoder, images: Tensor) -> None:
    """An image alone and among others has the same latent."""
    together = encoder.estimate(images)[0]
    for i in range(len(images)):
        alone = encoder.estimate(images[i : i + 1])[0]
        require_same(alone[0], together[i], f"latent of image {i} alone", BATCH_TOLERANCE)


def latents_tell_apart(encoder: ModelEncoder, images: Tensor) -> None:
    """Different images have different latents."""
    z = encoder.estimate(images)[0]
    require(not torch.equal(z[0], z[1]), "different images have the same latent")


def network_is_settled(encoder: ModelEncoder, images: Tensor) -> None:
    """A network that is shown (``network`` or ``module``) is in eval mode; none of its tensors
    asks for a gradient or changes."""
    for name in ("network", "module"):
        module = getattr(encoder, name, None)
        if not isinstance(module, nn.Module):
            continue
        training = [path or name for path, part in module.named_modules() if part.training]
        require(not training, f"{', '.join(training[:3])} in training mode")
        open_ = [path for path, value in module.named_parameters() if value.requires_grad]
        require(not open_, f"{', '.join(open_[:3])} ask for a gradient")
        before = {path: value.clone() for path, value in module.state_dict().items()}
        encoder.estimate(images)
        for path, value in module.state_dict().items():
            require_same(value, before[path], f"{path} after a call")


def images_untouched(encoder: ModelEncoder, images: Tensor) -> None:
    """Nothing changes the images it is given."""
    given = images.clone()
    encoder.estimate(given)
    require_same(given, images, "images after a call")


def moving_keeps_latents(encoder: ModelEncoder, images: Tensor) -> None:
    """``to`` returns the encoder itself, unchanged where it already is."""
    before = encoder.estimate(images)[0].clone()
    require(encoder.to(encoder.device) is encoder, "to() returned something else")
    require_again(encoder.estimate(images)[0], before, "latents after to()")


def other_generators_are_refused(encoder: ModelEncoder, images: Tensor) -> None:
    """A generator of a family that it does not name, or of another latent, is not its own."""
    info = encoder.info
    with refused(StateMismatchError, "a generator of another latent", ("latent",)):
        family = info.generators[0] if info.generators else "stranger"
        check_belongs(encoder, _Stranger(family, LatentSpec(shape=(*info.latent.shape, 2))))
    stranger = _Stranger("a-stranger", info.latent)
    require(encoder.belongs_to(stranger) is not True, "it says that it belongs to a stranger")
    if info.generators:
        with refused(StateMismatchError, "a generator of another family", info.generators):
            check_belongs(encoder, stranger)


class _Stranger(Generator):
    """A generator that no encoder belongs to: grey pictures."""

    def __init__(self, family: str, latent: LatentSpec) -> None:
        self.info = GeneratorInfo(family=family, resolution=8, latent=(latent,))
        shape = tuple(latent.shape)
        self.boundaries = (
            Boundary("input", 0, shape, "latent"),
            Boundary("image", 1, (3, 8, 8), "image", (8, 8)),
        )

    def begin(self, latent: dict[str, Tensor]) -> State:  # type: ignore[override]
        return State("input", latent[self.info.latent[0].name], {})

    def advance(self, state: State, to: str = "image", *, params: object = None) -> State:
        return State("image", torch.zeros(len(state.x), 3, 8, 8), {}) if to != "input" else state


def encoder_checks(images: Tensor | None = None) -> list[tuple[str, Check[ModelEncoder]]]:
    """Name and function of each check of an encoder; a function raises AssertionError.

    Args:
        images: (N, 3, H, H) float32 in [-1, 1] with N at least 2, or None for smooth noise of
            64 x 64 pixels.

    >>> [name for name, _ in encoder_checks()][:2]
    ['identity_is_json', 'declaration_is_possible']
    """
    return checks_in(__name__, noise_images(size=64) if images is None else images)
