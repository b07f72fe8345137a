"""Edits of a weight as files, and generators with edits.

Guarantees: a file holds a digest of its bytes and names the weights that it is of; a generator of
others is refused, while options that change no weight (truncation, noise) may differ, which is said
among what a loader assumes. An edited generator shares the network's tensors and leaves them as
they are; its identity holds that of each edit, so that no tally is shared.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import safetensors
import torch
from torch import Tensor

from seeingkit.contracts import Latent, RewritableGenerator, Sampler, Site, State
from seeingkit.errors import RunError, UsageError, printable
from seeingkit.results.edits import EditedGenerator
from seeingkit.system.tensors import read_sealed_tensors, tensor_digest, write_sealed_tensors

from .editfiles import edited_generator

KEY = "seeingkit_weight_edit"
VERSION = 1


@dataclass(frozen=True, eq=False)
class WeightEdit:
    """A change of low rank of one weight: strength times Σ_j Λ_j B_j, in canonical numbers.

    Attributes:
        site: name of the site.
        factors: (C_out, J) float32, Λ.
        directions: (r, C_in) float32, of which each tap has its own numbers, J = r kh kw; or
            (r, C_in, kh, kw), J = r.
        shape: (C_out, C_in, kh, kw) of the kernel.
        model: the generator that it is of.
        strength: 1: as planned; 0: nothing.
        request: what it was planned for, as JSON; None: unknown.
        about: how it was planned (solver, rank, keep, moments, options of the generator), as JSON.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> site = generator.site("r16.conv1")
    >>> edit = edit_of(generator, site, torch.ones(96, 9), torch.ones(1, 96))
    >>> edit.change().shape, edit.at(0.5).strength
    (torch.Size([96, 96, 3, 3]), 0.5)
    """

    site: str
    factors: Tensor
    directions: Tensor
    shape: tuple[int, int, int, int]
    model: EditedGenerator
    strength: float = 1.0
    request: Mapping[str, Any] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        outputs, inputs, height, width = self.shape
        rank, *rest = self.directions.shape
        taps = 1 if rest == [inputs, height, width] and height * width > 1 else height * width
        fits = rest in ([inputs], [inputs, height, width])
        if not fits or tuple(self.factors.shape) != (outputs, rank * taps):
            raise UsageError(
                f"an edit of {self.site!r}: factors {tuple(self.factors.shape)} and directions "
                f"{tuple(self.directions.shape)} do not fit a kernel {self.shape}"
            )
        numbers = torch.cat([self.factors.flatten(), self.directions.flatten()])
        if not bool(torch.isfinite(numbers).all()) or not abs(self.strength) < float("inf"):
            raise UsageError(f"an edit of {self.site!r} holds NaN or Inf")

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.directions)

    def change(self) -> Tensor:
        """ΔW of the kernel, (C_out, C_in, kh, kw) float32, in canonical numbers."""
        outputs, _, height, width = self.shape
        if self.directions.ndim == 4:
            whole = torch.einsum("or,riyx->oiyx", self.factors, self.directions)
        else:
            taps = self.factors.reshape(outputs, self.rank, height, width)
            whole = torch.einsum("oryx,ri->oiyx", taps, self.directions)
        return self.strength * whole

    def at(self, strength: float) -> WeightEdit:
        """The same edit at another strength.

        ``edit.at(0.5)`` does half of it, ``edit.at(0)`` nothing.
        """
        return replace(self, strength=float(strength))

    def digest(self) -> str:
        """SHA-256 of everything that changes an image."""
        parts = [tensor_digest(self.factors), tensor_digest(self.directions)]
        text = json.dumps([VERSION, self.site, self.shape, self.strength, *parts])
        return hashlib.sha256(text.encode()).hexdigest()

    # -------------------------------------------------------------------------------------- files

    def save(self, path: str | Path) -> Path:
        """Write it as safetensors; returns the path.

        ``edit.save("dome2tree.safetensors")``
        """
        about = {
            "version": VERSION,
            "site": self.site,
            "shape": list(self.shape),
            "strength": self.strength,
            "model": self.model.model_dump(mode="json"),
            "request": None if self.request is None else dict(self.request),
            "about": dict(self.about),
        }
        tensors = {"factors": self.factors, "directions": self.directions}
        return write_sealed_tensors(Path(path), tensors, KEY, about)

    @staticmethod
    def load(path: str | Path) -> WeightEdit:
        """Read a file of ``save``.

        Raises:
            RunError: missing, damaged, or something else.

        ``WeightEdit.load("dome2tree.safetensors").rank``
        """
        try:
            tensors, about = read_sealed_tensors(Path(path), KEY)
            if about["version"] != VERSION:
                raise ValueError(f"its version is {about['version']}, known is {VERSION}")
            outputs, inputs, height, width = (int(side) for side in about["shape"])
            known = about["about"]
            if not isinstance(known, dict) or not isinstance(known.get("after", []), list):
                raise ValueError("it does not say how it was planned")
            return WeightEdit(
                site=str(about["site"]),
                factors=tensors["factors"].float(),
                directions=tensors["directions"].float(),
                shape=(outputs, inputs, height, width),
                model=EditedGenerator.model_validate(about["model"]),
                strength=float(about["strength"]),
                request=about["request"],
                about=known,
            )
        except FileNotFoundError as error:
            raise RunError(f"{path}: there is no such file; check --edit") from error
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            UsageError,
            safetensors.SafetensorError,
        ) as error:
            raise RunError(f"{path}: no edit of a weight ({printable(error)})") from error


class RewrittenGenerator(RewritableGenerator):
    """A generator with edits of its weights; a generator like any other.

    Args:
        base: the generator, whose tensors are shared and stay as they are; edits that it has come
            first.
        edits: of it, each planned for the generator without edits or with those before it; several
            of one site add up.

    Raises:
        UsageError: an edit of another generator, or of a site of another shape.
        UnknownNameError: an edit of a site that the generator lacks.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> site = generator.site("r16.conv1")
    >>> edit = edit_of(generator, site, torch.ones(96, 9), torch.ones(1, 96))
    >>> latent = generator.latents([0])
    >>> torch.equal(RewrittenGenerator(generator, [edit])(latent), generator(latent))
    False
    """

    def __init__(self, base: RewritableGenerator, edits: Sequence[WeightEdit]) -> None:
        earlier: tuple[WeightEdit, ...] = ()
        if isinstance(base, RewrittenGenerator):
            earlier, base = base.edits, base.base
        self.base: RewritableGenerator = base
        self.edits: tuple[WeightEdit, ...] = (*earlier, *edits)
        self.weights: dict[str, Tensor] = {}
        for number, edit in enumerate(self.edits):
            before = [each.digest() for each in self.edits[:number]]
            self._check(edit, before)
            site = base.site(edit.site)
            if site.shape != edit.shape:
                raise UsageError(
                    f"an edit of {edit.site!r} is of a kernel {edit.shape}; this one is "
                    f"{site.shape}"
                )
            weight = self.weights.get(site.weight, base.weight(site))
            self.weights[site.weight] = weight + site.stored(edit.change() * site.unit).to(weight)
        self.boundaries, self.inverted_with = base.boundaries, base.inverted_with
        self.given, self.weighted = base.given, base.weighted
        options = {**base.info.options, "edits": [edit.digest() for edit in self.edits]}
        others = (other_options(edit, base) for edit in self.edits)
        taken = dict.fromkeys((*base.info.assumptions, *(other for other in others if other)))
        update = {"options": options, "assumptions": tuple(taken)}
        self.info = base.info.model_copy(update=update if self.edits else {})

    def _check(self, edit: WeightEdit, before: Sequence[str]) -> None:
        planned = list(edit.about.get("after", []))
        if planned and planned != list(before):
            raise UsageError(
                f"the edit of {edit.site!r} was planned after {len(planned)} others, which are not "
                "given before it in that order"
            )
        own = edited_generator(self.base)
        same = (own.family, own.weights_sha256) == (edit.model.family, edit.model.weights_sha256)
        if not same or (own.weights_sha256 is None and own.identity != edit.model.identity):
            hashes = [
                (h or "unknown")[:12] for h in (edit.model.weights_sha256, own.weights_sha256)
            ]
            raise UsageError(
                f"an edit of {printable(edit.model.name)}, weights {hashes[0]}; this is "
                f"{own.family}, weights {hashes[1]}: an edit fits the weights it was planned for"
            )

    @property
    def default_cut(self) -> str:
        """See ``Generator.default_cut``."""
        return self.base.default_cut

    @property
    def device(self) -> torch.device:
        """Where the network's tensors are."""
        return self.base.device

    def to(self, device: str | torch.device) -> Self:
        """Move the network and the edited weights; returns itself."""
        self.base.to(device)
        self.weights = {name: weight.to(device) for name, weight in self.weights.items()}
        return self

    def latents(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | None = None,
    ) -> Latent:
        """See ``Sampler.latents``."""
        base = self.base
        if self.given is not base.given:  # tried on other images than the base was given
            base = copy.copy(base)
            base.given = self.given
        return base.latents(indices, seed=seed, labels=labels)

    def begin(self, latent: Latent) -> State:
        """See ``Generator.begin``."""
        return self.base.begin(latent)

    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        """See ``Generator.advance``; replacements of edited weights stand in for these."""
        return self.base.advance(state, to, params=self._params(state, params))

    def _params(self, state: State, params: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        whole = {**self.weights, **(params or {})}  # the base may have been moved by another
        return {name: weight.to(state.x.device) for name, weight in whole.items()}

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The network with the edits baked in, in the family's own form.

        Raises:
            UsageError: the family has no such form, or it names its weights otherwise.
        """
        tensors, config = self.base.export()
        for name, weight in self.weights.items():
            if name not in tensors or tensors[name].shape != weight.shape:
                raise UsageError(
                    f"{self.info.family}: the written form has no tensor {name!r} of shape "
                    f"{tuple(weight.shape)}, so the edit cannot be baked in"
                )
        return {**tensors, **self.weights}, config

    # ------------------------------------------------------------------------------------- sites

    def sites(self) -> tuple[Site, ...]:
        """See ``RewritableGenerator.sites``."""
        return self.base.sites()

    def weight(self, site: Site) -> Tensor:
        """See ``RewritableGenerator.weight``; with the edits."""
        return self.weights.get(site.weight, self.base.weight(site))

    def keys(
        self, state: State, site: Site, *, params: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """See ``RewritableGenerator.keys``."""
        return self.base.keys(state, site, params=self._params(state, params))

    def linear(self, keys: Tensor, site: Site, weight: Tensor) -> Tensor:
        """See ``RewritableGenerator.linear``."""
        return self.base.linear(keys, site, weight)

    def finish(
        self,
        state: State,
        site: Site,
        linear: Tensor,
        weight: Tensor | None = None,
        *,
        params: Mapping[str, Tensor] | None = None,
    ) -> State:
        """See ``RewritableGenerator.finish``."""
        given = self._params(state, params)
        return self.base.finish(state, site, linear, weight, params=given)

    def unfinish(
        self,
        state: State,
        site: Site,
        value: Tensor,
        *,
        params: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See ``RewritableGenerator.unfinish``."""
        return self.base.unfinish(state, site, value, params=self._params(state, params))


def other_options(edit: WeightEdit, generator: RewritableGenerator) -> str:
    """What is assumed of an edit that was planned with other options of its generator (truncation,
    noise, …); empty: they are the same.

    Args:
        edit: of these weights.
        generator: without edits.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> site = generator.site("r16.conv1")
    >>> other_options(edit_of(generator, site, torch.ones(96, 9), torch.ones(1, 96)), generator)
    ''
    """
    planned = edit.about.get("options")
    if not isinstance(planned, dict):  # of a file that does not say
        same = edited_generator(generator).identity == edit.model.identity
        then, now = ("", "") if same else ("other options", "these")
    else:
        own = _options(generator)
        differ = [name for name in sorted(planned) if name in own and planned[name] != own[name]]
        then, now = (
            ", ".join(f"{name}={printable(known[name])}" for name in differ)
            for known in (planned, own)
        )
    if not then:
        return ""
    return f"an edit of {edit.site} that was planned with {then} serves {now} as well"


def _options(generator: RewritableGenerator) -> dict[str, Any]:
    """The options of a generator as JSON."""
    found: dict[str, Any] = generator.info.identity()["options"]
    return found


def rewritable(generator: Sampler) -> RewritableGenerator:
    """The generator, if it has sites.

    Raises:
        UsageError: it has none.

    >>> rewritable(seeingkit.load_generator("progan:minichurches")).site("r16.conv1").rank
    96
    """
    if not isinstance(generator, RewritableGenerator) or not generator.sites():
        raise UsageError(
            f"{generator.info.family} has no sites: no linear layer of it can be rewritten"
        )
    return generator


def edit_of(
    generator: RewritableGenerator,
    site: Site,
    factors: Tensor,
    directions: Tensor,
    *,
    request: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> WeightEdit:
    """An edit of a generator, which may have edits already: it is planned for that one.

    Args:
        generator: it is of.
        site: of it.
        factors, directions: see ``WeightEdit``.
        request, about: see ``WeightEdit``.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> site = generator.site("r16.conv1")
    >>> edit_of(generator, site, torch.zeros(96, 9), torch.ones(1, 96)).rank
    1
    """
    base, known = generator, dict(about or {})
    if isinstance(generator, RewrittenGenerator):
        base = generator.base
        known["after"] = [edit.digest() for edit in generator.edits]
    known["options"] = _options(base)
    return WeightEdit(
        site=site.name,
        factors=factors.detach().float().cpu(),
        directions=directions.detach().float().cpu(),
        shape=site.shape,
        model=edited_generator(base),
        request=request,
        about=known,
    )
