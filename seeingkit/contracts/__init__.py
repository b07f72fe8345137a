"""Contracts of generators, annotators, encoders, features, image sources and inverters.

Every analysis runs on any implementation of these contracts. One module each: ``generators`` (with
``states``, ``sites``, ``latents``, ``given``), ``annotators`` (with classifiers), ``features``,
``encoders``, ``images``, ``inverters``.

Guarantees that hold for every implementation (``seeingkit.testing`` checks them):

* everything is batch-first, and row ``k`` of a result depends on row ``k`` of the input only;
* ``advance(advance(begin(z), b), "image")`` equals ``advance(begin(z), "image")`` at every
  boundary ``b``; ``advance`` is pure and differentiable in ``state.x`` and ``params``;
* latents depend on (seed, index, label) only, never on the batch they were drawn in;
* images are float32 RGB (N, 3, H, W) with the nominal range [-1, 1], not clamped.

The split follows Bau et al., ICCV 2019, section 3.2: G = G_f ∘ g_n ∘ … ∘ g_1; a ``Boundary`` is a
named cut, ``State.x`` is r there, and ``advance(state, "image")`` is G_f.
"""

from .annotators import (
    Annotator,
    AnnotatorInfo,
    Classifier,
    ClassifierInfo,
    Label,
    Segmenter,
    SegmenterInfo,
    Unit,
    Vocabulary,
)
from .base import ModelInfo, OnDevice
from .encoders import Encoder, EncoderInfo, ModelEncoder, Posterior
from .features import Features, FeaturesInfo
from .generators import Generator, GeneratorInfo, OwnEncoder, Sampler
from .given import GivenImages
from .images import ImageSource, Skipped, Unread
from .inverters import Inversion, Inverter, Prepared
from .latents import Latent, LatentSpec, draw_latents, seeds_latents, sequence_latents
from .sites import RewritableGenerator, Site
from .states import Boundary, State

__all__ = [
    "Annotator",
    "AnnotatorInfo",
    "Boundary",
    "Classifier",
    "ClassifierInfo",
    "Encoder",
    "EncoderInfo",
    "Features",
    "FeaturesInfo",
    "Generator",
    "GeneratorInfo",
    "GivenImages",
    "ImageSource",
    "Inversion",
    "Inverter",
    "Label",
    "Latent",
    "LatentSpec",
    "ModelEncoder",
    "ModelInfo",
    "OnDevice",
    "OwnEncoder",
    "Posterior",
    "Prepared",
    "RewritableGenerator",
    "Sampler",
    "Segmenter",
    "SegmenterInfo",
    "Site",
    "Skipped",
    "State",
    "Unit",
    "Unread",
    "Vocabulary",
    "draw_latents",
    "seeds_latents",
    "sequence_latents",
]
