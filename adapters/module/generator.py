"""``module``: any ``nn.Module`` as a generator, from a Python callable or a program file.

Guarantees that code runs only when it is named: ``module:package.file:callable``,
``module:path/to/file.py:callable``, or ``module`` with a TorchScript or torch.export file. These
are programs and are trusted as such; ``--gan auto`` never chooses this family. A weights file given
beside a callable is data as everywhere, read by the safe readers.

The network takes z (N, …), and the label (N,) int64 if ``class_count`` is given, and returns square
images (N, 1 or 3, R, R), alone or first in a tuple. ``AutoStaged`` cuts it: at the submodules named
by ``stages``, else at the children of the network (of its only child, if it has one) in the order
of their calls, as far as each is called once and gives one batch-first tensor that reaches the
image. TorchScript hides its inner calls, so that apart from a scripted ``nn.Sequential`` it has the
boundaries ``input`` and ``image`` only. A program that takes one batch size only is called in
batches of that size; like any whose calls depend on its input, it is a ``Sampler``, without
boundaries. A callable may also return a ``Sampler`` or ``Generator`` of this project's contracts,
which is used as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.contracts import GeneratorInfo, Latent, LatentSpec, Sampler
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.autostaged import AutoStaged
from seeingkit.models.calltree import Leaf, classify, paired, trace
from seeingkit.models.probe import identify
from seeingkit.system.cache import file_sha256

from ..catalog.module import ModuleOptions
from ..class_names import class_names
from .programs import call_reference, load_program, load_state, program_sha256

_DIMENSIONS = ("z_dim", "latent_dim", "nz", "dim_z", "noise_dim", "latent_size", "z_size", "zdim")
_USUAL_DIMENSIONS = (128, 100, 512, 64, 256, 32, 16)
_WEIGHTS = 4  # first weights whose input sizes are tried
_TRIALS = (2, 3)  # batch sizes a network is tried with


def load(weights: Path | None, options: ModuleOptions) -> Sampler:
    """Load a program; this runs it.

    Args:
        weights: without ``options.reference`` the program file, else the network's state dict.
        options: ``reference``, ``stages``, ``latent`` ….

    Raises:
        UsageError: neither a reference nor a file; or the shape of z cannot be found.
        PluginError: the code cannot be imported.
        WeightsError: the weights do not fit the network.
        ModelError: the program raised something, or does not give square images.
    """
    network: nn.Module
    example: tuple[int, ...] | None = None
    if options.reference is None:
        if weights is None:
            raise UsageError("module: name code (module:FILE.py:FUNCTION) or give --weights FILE")
        network, example = load_program(weights)
        what, sha256 = str(weights), file_sha256(weights)
    else:
        what = f"module:{options.reference}"
        made, sources = call_reference(options.reference, options.arguments)
        if isinstance(made, Sampler):
            _refuse_options(what, weights, options)
            return identify(made)
        if not isinstance(made, nn.Module):
            raise ModelError(f"{what}: returned a {type(made).__name__}, not an nn.Module")
        network = made
        if weights is not None:
            load_state(network, weights, options.key)
        sha256 = program_sha256(network, sources)
    network.eval()
    shape, images = _find_latent(what, network, options, example)
    info = GeneratorInfo(
        family="module",
        resolution=0,  # read from its images by AutoStaged
        channels=images.channels,
        latent=(LatentSpec(name="z", shape=shape),),
        class_names=class_names(options.class_count, options.classes),
        weights_sha256=sha256,
        options=_identity(options, shape),
        parameters=sum(p.numel() for p in network.parameters()),
        assumptions=_assumptions(options, shape),
    )
    if options.stages is not None:
        return AutoStaged(network, _paths(network, options.stages), info=info, call=images)
    if images.batch is not None:
        return ProgramSampler(network, info, images)
    return _staged(network, info, images, options)


def _staged(
    network: nn.Module, info: GeneratorInfo, images: Images, options: ModuleOptions
) -> Sampler:
    """With as many of the network's children as boundaries as can be, at worst without any."""
    try:
        stages = _default_stages(network, images, info, options)
    except ModelError:  # calls that change from pass to pass
        return ProgramSampler(network, info, images)
    with suppress(ModelError):
        return AutoStaged(network, stages, info=info, call=images)
    stages = {n: p for n, p in stages.items() if _stages_alone(network, n, p, info, images)}
    with suppress(ModelError):
        return AutoStaged(network, stages, info=info, call=images)
    return ProgramSampler(network, info, images)


def _refuse_options(what: str, weights: Path | None, options: ModuleOptions) -> None:
    given = sorted(options.model_fields_set - {"reference", "arguments"})
    if weights is not None:
        given.append("--weights")
    if given:
        raise UsageError(f"{what}: returns a whole generator, which takes no {', '.join(given)}")


def _identity(options: ModuleOptions, shape: tuple[int, ...]) -> dict[str, Any]:
    """Options as resolved. Files are known by their hash, so only their names are kept."""
    found = options.model_dump(mode="json")
    if options.reference is not None:
        where, _, attribute = options.reference.rpartition(":")
        name = Path(where).name if where.endswith(".py") else where
        found["reference"] = f"{name}:{attribute}"
    if options.classes is not None:
        found["classes"] = Path(options.classes).name
    return {**found, "latent": list(shape)}


def _assumptions(options: ModuleOptions, shape: tuple[int, ...]) -> tuple[str, ...]:
    """What the program does not say of its input and output, and no option did."""
    assumed = ["z is drawn from N(0, 1)"]
    if options.latent is None:
        size = ",".join(map(str, shape))
        assumed.insert(0, f"latent={size}, the first shape of z that the network takes")
    if "range" not in options.model_fields_set:
        assumed.append(f"range={options.range} of its images")
    return tuple(assumed)


def _paths(network: nn.Module, stages: Mapping[str, str]) -> dict[str, str]:
    """Paths inside a program file are given as its author knows them."""
    from .programs import Program

    prefix = "network." if isinstance(network, Program) else ""
    return {name: prefix + path for name, path in stages.items()}


# --------------------------------------------------------------------------------------- its images


class Images:
    """How images come from the network: ``AutoStaged``'s ``call``.

    Args:
        span: range of the network's images, ``-1..1``, ``0..1`` or ``0..255``.
        batch: the only batch size the network takes, or None for any.
    """

    def __init__(self, span: str, batch: int | None = None) -> None:
        self.span, self.batch = span, batch
        self.channels = 3

    def __call__(self, network: nn.Module, latent: Latent) -> Tensor:
        """Images (N, 3, R, R) float32 in [-1, 1]."""
        values = list(latent.values())
        if self.batch is None:
            raw = image_of(network(*values))
        else:
            raw = torch.cat([self._part(network, values, at) for at in self._starts(values)])
        raw = raw.float()
        if self.span == "0..1":
            raw = 2 * raw - 1
        elif self.span == "0..255":
            raw = raw / 127.5 - 1
        self.channels = int(raw.shape[1])
        return raw.expand(-1, 3, -1, -1).contiguous() if raw.shape[1] == 1 else raw

    def _starts(self, values: Sequence[Tensor]) -> range:
        assert self.batch is not None
        return range(0, len(values[0]), self.batch)

    def _part(self, network: nn.Module, values: Sequence[Tensor], at: int) -> Tensor:
        """Images of one batch of the size it takes, the last one padded with its own last row."""
        assert self.batch is not None
        rows = [value[at : at + self.batch] for value in values]
        count = len(rows[0])
        padded = [torch.cat([r, *[r[-1:]] * (self.batch - count)]) for r in rows]
        return image_of(network(*padded))[:count]


def image_of(output: object) -> Tensor:
    """The images in a network's output: the output itself, or the first tensor of a tuple.

    Raises:
        ModelError: they are not (N, 1 or 3, R, R).
    """
    if isinstance(output, (tuple, list)):
        output = next((part for part in output if isinstance(part, Tensor)), None)
    shape = tuple(output.shape) if isinstance(output, Tensor) else ()
    if len(shape) != 4 or shape[1] not in (1, 3) or shape[2] != shape[3]:
        raise ModelError(
            f"its output is {shape or type(output).__name__}, expected (N, 1 or 3, R, R)"
        )
    assert isinstance(output, Tensor)
    return output


class ProgramSampler(Sampler):
    """A program that can be called and not entered.

    Raises:
        ModelError: its images are not finite, or change from call to call.
    """

    def __init__(self, network: nn.Module, info: GeneratorInfo, images: Images) -> None:
        self.module = network.eval().requires_grad_(False)
        self.images = images
        self.info = info
        labels = [0] * _TRIALS[0] if info.class_names else None
        latent = self.latents(range(_TRIALS[0]), labels=labels)
        first = self(latent)
        self.info = info.model_copy(update={"resolution": int(first.shape[-1])})
        if not bool(torch.isfinite(first).all()):
            raise ModelError(f"{info.family}: images hold NaN or Inf")
        identify(self)

    def __call__(self, latent: Latent) -> Tensor:
        names = [part.name for part in self.info.latent] + ["label"] * bool(self.info.class_names)
        for name in sorted(latent.keys() ^ set(names)):
            what = "needs a" if name in names else "takes no"
            raise UsageError(f"{self.info.family} {what} latent {name!r}")
        with torch.no_grad():
            return self.images(self.module, {n: latent[n].to(self.device) for n in names})

    @property
    def device(self) -> torch.device:
        """Where the network's tensors are."""
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            return tensor.device
        return torch.device("cpu")

    def to(self, device: str | torch.device) -> ProgramSampler:
        """Move the network; returns itself."""
        self.module.to(device)
        return self


def _find_latent(
    what: str, network: nn.Module, options: ModuleOptions, example: tuple[int, ...] | None
) -> tuple[tuple[int, ...], Images]:
    """The shape of z, and how images are made: what was given, else the first that works."""
    shapes = [options.latent] if options.latent else list(_shapes(network, example))
    batches = dict.fromkeys((None, example[0] if example else None, 1))
    first: Exception | None = None
    for batch, shape in itertools.product(batches, shapes):
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            images = Images(options.range, batch)
            try:
                made = [len(images(network, _trial(rows, shape, options))) for rows in _TRIALS]
            except Exception as error:  # a shape that is not the network's may fail in any way
                first = first or error
                continue
            if made == list(_TRIALS):
                return tuple(shape), images
            first = first or ModelError(f"{_TRIALS[0]} latents give {made[0]} images")
    reason = " ".join(str(first).split())[:300]
    shown = ", ".join("x".join(map(str, s)) for s in shapes[:6])
    hint = "" if options.latent else "; give latent=, the shape of one z (100 or 100,1,1)"
    raise UsageError(f"{what}: no images from z of shape {shown}: {reason}{hint}")


def _trial(rows: int, shape: Sequence[int], options: ModuleOptions) -> dict[str, Tensor]:
    latent = {"z": torch.randn(rows, *shape, generator=torch.Generator().manual_seed(0))}
    if options.class_count:
        latent["label"] = torch.zeros(rows, dtype=torch.int64)
    return latent


def _shapes(network: nn.Module, example: tuple[int, ...] | None) -> Iterator[tuple[int, ...]]:
    """Shapes of z to try, likeliest first."""
    if example:
        yield example[1:]
    sizes: dict[int, None] = {}
    for owner in (network, *network.children()):
        for name in _DIMENSIONS:
            if isinstance(value := getattr(owner, name, None), int) and value > 0:
                sizes[value] = None
    weights = (p for p in network.parameters() if p.ndim in (2, 4))
    for weight, _ in zip(weights, range(_WEIGHTS), strict=False):
        sizes.update(dict.fromkeys(int(n) for n in (weight.shape[1], weight.shape[0])))
    sizes.update(dict.fromkeys(_USUAL_DIMENSIONS))
    for size in sizes:
        yield from ((size,), (size, 1, 1))


# --------------------------------------------------------------------------------------- its stages


def _default_stages(
    network: nn.Module, images: Images, info: GeneratorInfo, options: ModuleOptions
) -> dict[str, str]:
    """Names and paths of the children in the order of their calls, as far as they can be cuts."""
    paths = {module: path for path, module in network.named_modules() if path}

    def observe(rows: int) -> Any:
        latent = _trial(rows, info.latent[0].shape, options)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return trace(paths, lambda: images(network, latent))

    (tree, image), (larger, _) = (observe(rows) for rows in _TRIALS)
    classify(paired(tree, larger), *_TRIALS)
    calls = list(tree.children)
    while len(calls) == 1 and calls[0].children:
        calls = list(calls[0].children)
    modules = [call.module for call in tree.inside()]
    usable = [
        call
        for call in calls
        if call.carried
        and modules.count(call.module) == 1
        and len(call.leaves) == 1
        and not call.leaves[0].where
        and len(call.leaves[0].shape or ()) > 1
    ]
    if usable and usable[-1].leaves[0].same_value(Leaf.of("", image)):
        usable.pop()  # it is the image already
    return {call.path.removeprefix("network."): call.path for call in usable}


def _stages_alone(
    network: nn.Module, name: str, path: str, info: GeneratorInfo, images: Images
) -> bool:
    """Whether one submodule can be a cut."""
    try:
        AutoStaged(network, {name: path}, info=info, call=images)
    except ModelError:
        return False
    return True
