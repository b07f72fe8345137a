"""Options and spec of ``module``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Latents


def _sizes(value: object) -> object:
    """``100`` and ``"100,1,1"`` as sizes."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int) else value


def _stages(value: object) -> object:
    """``"r8=layer4,r16=layer6"`` as a mapping; a path alone names itself; "" is no stage."""
    if not isinstance(value, str):
        return value
    pairs = [part.strip() for part in value.split(",") if part.strip()]
    named = [(name.strip(), path.strip()) for name, _, path in (p.partition("=") for p in pairs)]
    if len({name for name, _ in named}) != len(named):
        raise ValueError("two stages have one name")
    return {name: path or name for name, path in named}


Sizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1 << 20)], ...],
    BeforeValidator(_sizes),
    Field(min_length=1),
]


class ModuleOptions(Options):
    """Options of ``module``."""

    reference: str | None = Field(
        None,
        description="package.module:callable or path/to/file.py:callable, as it stands after "
        "'module:'; the code is run",
    )
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the callable (JSON)")
    key: str | None = Field(
        None, description="which state dict of the weights file to load, such as netG"
    )
    stages: Annotated[dict[str, str], BeforeValidator(_stages)] | None = Field(
        None,
        description="boundaries by the paths of submodules (r8=layer4,r16=layer6); default: the "
        "children of the network in the order of their calls",
    )
    latent: Sizes | None = Field(
        None, description="shape of z (100 or 100,1,1); default: found by trying"
    )
    class_count: int = Field(
        0, ge=0, description="of a conditional network, whose second argument is then the label"
    )
    classes: ClassNames = None
    range: Literal["-1..1", "0..1", "0..255"] = Field(
        "-1..1", description="range of the network's own images"
    )
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="module",
            summary="any nn.Module: module:package.file:callable, or a TorchScript or torch.export "
            "file with --weights; these are programs, and are run",
            licence="own code, MIT",
            target="seeingkit_adapters.module:load",
            options=ModuleOptions,
            needs_weights=False,
            takes_reference=True,
        )
    )
