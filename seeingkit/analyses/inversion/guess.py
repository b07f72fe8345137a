"""Initial guesses: the latent or the state at the cut from which a photo's inversion starts.

Guarantee: the guess of a photo depends on that photo, its label, its given start and the seed
alone. Photos go through the encoder one by one, because matrix products round otherwise in another
batch, and a start that differs in the last bit ends elsewhere.
"""

from __future__ import annotations

import hashlib

from torch import Tensor

from seeingkit.contracts import State
from seeingkit.images.preprocess import quantise

from .inputs import Inputs
from .prepared import LayerPrepared
from .samples import draw


def guesses_latent(prepared: LayerPrepared, inputs: Inputs) -> bool:
    """Whether inversion starts from a latent; otherwise from a state at the cut."""
    if inputs.init is not None:
        return not isinstance(inputs.init, State)
    return prepared.start != "average"


def latent_guess(prepared: LayerPrepared, inputs: Inputs, row: int) -> Tensor:
    """The latent (1, …) at which a photo starts: given, by the encoder, or drawn."""
    name = prepared.generator.info.latent[0].name
    if inputs.init is not None:
        assert not isinstance(inputs.init, State)
        return inputs.init[name][[row]].to(inputs.images.device)
    if prepared.encoder is not None:
        return prepared.encoder.estimate(inputs.images[[row]])[0]
    # The number of a random start comes from the photo's pixels, so neighbours do not matter.
    pixels = quantise(inputs.images[row : row + 1]).cpu().numpy().tobytes()
    number = int.from_bytes(hashlib.sha256(pixels).digest()[:4], "big") // 2
    return draw(prepared.generator, 1, number + inputs.seed)[name]


def state_guess(prepared: LayerPrepared, inputs: Inputs, row: int) -> State:
    """The state (1, …) at the cut at which a photo starts: given, or the average of its class."""
    if isinstance(inputs.init, State):
        return inputs.init[[row]]
    return prepared.averages(inputs.label(row))
