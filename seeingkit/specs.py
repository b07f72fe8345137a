"""The specs and presets that plugins register, and the hook for it. Never imports torch.

A plugin is a module named by an entry point in the group ``seeingkit``::

    from seeingkit.specs import GanSpec, Register, hookimpl

    @hookimpl
    def seeingkit_register(register: Register) -> None:
        register(GanSpec(name="mygan", summary="…", target="mypackage.model:load"))

A spec describes a thing (name, summary, licence, options) and names its code (``target``, a
``"package.module:callable"`` string that is imported only when the thing is used):

=============== ==================================================================================
spec            the target is called as
=============== ==================================================================================
GanSpec         ``target(weights: Path | None, options: BaseModel) -> Sampler``
SegmenterSpec   ``target(weights: Path | None, options: BaseModel) -> Segmenter``
AnnotatorSpec   ``target(weights: Path | None, options: BaseModel) -> Annotator``
FeaturesSpec    ``target(weights: Path | None, options: BaseModel) -> Features``
EncoderSpec     ``target(weights: Path | None, options: BaseModel) -> ModelEncoder``
DataSpec        ``target(options: BaseModel, preset: Preset) -> ImageSource``
InverterSpec    ``target(options: BaseModel) -> Inverter``
MetricSpec      ``target(weights: Path | None, options: BaseModel) -> Metric``
ExecutorSpec    ``target(options: BaseModel) -> Executor``
TrackerSpec     ``target(options: BaseModel) -> Tracker``
=============== ==================================================================================

(``Metric``: ``seeingkit.analyses.comparison.checks.metrics``; ``Tracker``:
``seeingkit.report.tracking``.)

``options`` is a pydantic model class whose fields are the options a user may give; it is validated
before the target is imported, and its values are part of the identity of whatever is loaded. So is
``version`` (default 1), which the author raises when the same weights and options give other
numbers; changed source of the target's package counts as another version too
(``seeingkit.models.code``).
"""

from __future__ import annotations

from typing import Literal, Protocol

import pluggy
from pydantic import BaseModel, ConfigDict, Field, field_validator

PROJECT = "seeingkit"
"""Name of the entry-point group and of the pluggy project."""

Kind = Literal[
    "gan",
    "segmenter",
    "annotator",
    "features",
    "encoder",
    "data",
    "inverter",
    "metric",
    "executor",
    "tracker",
    "weights",
]


class Options(BaseModel):
    """Base of all option models: unknown options are an error, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceOptions(Options):
    """Base of the options of families that translate images: which images, and how large.

    Attributes:
        source: a data set's name, a path or a pattern; None: the family is loaded without images,
            and only translates what it is given by hand.
        resolution: height and width of the images in pixels.

    >>> SourceOptions(source="photos", resolution=128).resolution
    128
    """

    source: str | None = Field(
        None,
        min_length=1,
        description="the images to translate: a folder, another path or pattern, or a data set",
    )
    resolution: int = Field(
        256,
        ge=4,
        le=4096,
        description="height and width that the images are brought to; no file holds it",
    )


class Preset(BaseModel):
    """A named way to turn any picture into the network's input; part of every result's identity.

    Attributes:
        name: as given to ``--preset``.
        size: shorter side in pixels after resizing, or None to keep the picture's own size.
        crop: whether the centre ``size`` x ``size`` square is cut out.
        filter: resampling filter, antialiased (Pillow's definition).
        version: raised when the same settings are to give other pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size: int | None = Field(default=256, ge=1, le=8192)
    crop: bool = True
    filter: Literal["bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    version: int = 1
    summary: str = ""

    def identity(self) -> dict[str, object]:
        """The part that changes the pixels: everything but the summary."""
        return self.model_dump(exclude={"summary"})


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        name="paper",
        summary="shorter side to 256 (bilinear, antialiased), centre crop 256x256",
    ),
    "native": Preset(
        name="native",
        size=None,
        crop=False,
        summary="the pictures' own size, which must be the same for all",
    ),
}
"""Built-in presets; plugins may register more."""


class Spec(BaseModel):
    """Base of all specs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    licence: str = "unknown"
    aliases: tuple[str, ...] = ()

    @field_validator("name", "aliases")
    @classmethod
    def _plain_names(cls, value: object) -> object:
        names = (value,) if isinstance(value, str) else value
        for name in names:  # type: ignore[attr-defined]
            if not name or any(c.isspace() or c in ":/\\" for c in name):
                raise ValueError(f"a name has no spaces, colons or slashes: {name!r}")
        return value


class _Loadable(Spec):
    target: str
    # Raised when the same weights and options give other numbers; part of the identity of tallies
    # and inversions, with a hash of the target's source for when that is forgotten.
    version: int = 1
    default: bool = False  # used when neither the user nor the data set names one of this kind
    options: type[BaseModel] = Options

    @field_validator("target")
    @classmethod
    def _module_and_name(cls, value: str) -> str:
        module, _, attribute = value.partition(":")
        if not module or not attribute:
            raise ValueError(f"a target reads 'package.module:callable', not {value!r}")
        return value


class GanSpec(_Loadable):
    """A generator family, such as ``progan``.

    Attributes:
        recognise: ``"package.module:callable"``, called with a ``seeingkit.weights.Checkpoint``;
            gives the name of the file's layout if the family reads it, else None. ``--gan auto``
            asks every family that has one.
        explain: the same, called with a file that no family reads; gives a
            ``seeingkit.weights.Near`` that says how near the file comes to the family's own and
            why it is not read, or None.
        takes_reference: the text after the first colon of the name is not the name of registered
            weights but goes into the option ``reference``.
    """

    needs_weights: bool = True
    recognise: str | None = None
    explain: str | None = None
    takes_reference: bool = False

    @field_validator("name", "aliases")
    @classmethod
    def _not_auto(cls, value: object) -> object:
        if "auto" in ((value,) if isinstance(value, str) else value):  # type: ignore[operator]
            raise ValueError("'auto' is a reserved word of this kind, not a name")
        return value


class GanGroupSpec(Spec):
    """One name for several generator families, such as the generations of one architecture.

    Attributes:
        families: in the order of preference; the first that has weights for the data is taken, and
            for a user's own file the one that recognises it.
    """

    families: tuple[str, ...]


class SegmenterSpec(_Loadable):
    """A segmenter family, such as ``upernet``.

    Attributes:
        recognise: as of ``GanSpec``; tells a user whose file was given to another family.
    """

    needs_weights: bool = True
    recognise: str | None = None


class AnnotatorSpec(_Loadable):
    """A family of annotators without masks, such as classifiers and detectors.

    It is named where a segmenter is (``--segmenter NAME``), so no segmenter may have its name;
    commands that need masks refuse it.

    >>> AnnotatorSpec(name="reader", summary="reads digits", target="mine.reader:load").name
    'reader'
    """

    needs_weights: bool = True


class FeaturesSpec(_Loadable):
    """Perceptual features of a fixed network, such as ``vgg16``.

    Attributes:
        rank: place in the order of preference of ``auto``, lower first.
    """

    needs_weights: bool = True
    rank: int = 100

    @field_validator("name", "aliases")
    @classmethod
    def _not_reserved(cls, value: object) -> object:
        names = (value,) if isinstance(value, str) else value
        for name in names:  # type: ignore[attr-defined]
            if name in ("none", "auto"):
                raise ValueError(f"{name!r} is a reserved word of this kind, not a name")
        return value


class EncoderSpec(_Loadable):
    """An encoder that comes with a generator: images to latents, such as that of a BigBiGAN.

    Options that every encoder should have: ``draw`` and ``seed`` (``EncoderOptions``). Options
    ``latent`` and ``size`` are for encoders whose files do not say them: where the generator is
    known they are filled in, with the length of its random input and the pixels of its images.

    Attributes:
        recognise: as of ``GanSpec``.
        generators: families of generators that it may belong to; empty: the encoder says it.
    """

    needs_weights: bool = True
    recognise: str | None = None
    generators: tuple[str, ...] = ()


class EncoderOptions(Options):
    """Options of an encoder that comes with a generator; base of a family's own.

    >>> EncoderOptions(draw="sample", seed=3).draw
    'sample'
    """

    draw: Literal["mean", "sample"] = Field(
        "mean",
        description="of a stochastic encoder: the mean, or a draw that follows from image and seed",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of drawing")


class DataSpec(_Loadable):
    """A data set known by name.

    Attributes:
        preset: the preset used when the user names none.
        segmenter: the segmenter or annotator (``family:weights``) used when the user names none.
        gan: the generator family used when the user names none.
        n: images per side when the user gives no number (the paper's 10,000 unless stated).
        takes_reference: the text after the first colon of the name goes into the option
            ``reference``; without it the name alone means nothing.
    """

    preset: str = "paper"
    n: int = 10_000
    segmenter: str | None = None
    gan: str | None = None
    takes_reference: bool = False


class InverterSpec(_Loadable):
    """A way to find the generator's closest image to a photo."""


class _WithLibrary(_Loadable):
    """What another library does.

    Attributes:
        package: import name of that library, when it is optional.
        extra: extra of seeingkit that installs it.
    """

    package: str | None = None
    extra: str | None = None


class MetricSpec(_WithLibrary):
    """Distances between two sets of images that another library computes, such as ``fidelity``."""

    needs_weights: bool = True


class ExecutorSpec(_WithLibrary):
    """A way to start the workers of a suite, such as ``local`` (``contracts.executors``)."""


class TrackerSpec(_WithLibrary):
    """A tracker of experiments that finished runs can be exported to, such as ``tensorboard``."""


class WeightFile(BaseModel):
    """One file of a set of weights.

    Attributes:
        name: file name on disk.
        url: where it is published, or None when it ships with the plugin.
        resource: ``"package:path/inside/package"`` of a file that ships with the plugin.
        extra: extra of seeingkit that installs the package of ``resource``, when that is optional.
        sha256: full hash, or None when nobody published one.
        sha256_prefix: its first digits, where that is all that was published.
        md5: the MD5 hash, where that is all that was published.
        size: bytes, when known.
        mirrors: other places the same file is published at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    url: str | None = None
    resource: str | None = None
    extra: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    sha256_prefix: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,63}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    size: int | None = None
    mirrors: tuple[str, ...] = ()


class WeightsSpec(Spec):
    """Trained weights of a family: ``family:name`` on the command line.

    Attributes:
        family: the GAN, segmenter, annotator, features or metric family whose target reads them.
        kind: of that family.
        domains: data sets they were trained on; ``--data`` finds them by this.
        files: one or more files; with several, the target gets their folder.
        options: option values these weights imply; the user's own options win.
    """

    family: str
    kind: Literal["gan", "segmenter", "annotator", "features", "inverter", "metric"]
    domains: tuple[str, ...] = ()
    files: tuple[WeightFile, ...]
    options: dict[str, object] = Field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """``family:name``."""
        return f"{self.family}:{self.name}"


hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The function that a plugin calls for each spec or preset."""

    def __call__(self, spec: Spec | Preset) -> None:
        """Register one spec (or a preprocessing preset)."""


class Hooks:
    """The hook specifications."""

    @hookspec
    def seeingkit_register(self, register: Register) -> None:
        """Call ``register(spec)`` for each thing that the plugin brings, of any kind."""
