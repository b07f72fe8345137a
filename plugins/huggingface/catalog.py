"""Registers ``hf:NAME``; never imports torch, nor the library."""

from __future__ import annotations

from pydantic import Field

from seeingkit.specs import DataSpec, Options, Register, hookimpl


class HubOptions(Options):
    """Options of ``hf``."""

    reference: str | None = Field(
        None,
        description="owner/name or owner/name:configuration on the hub, or a folder (./saved), as "
        "it stands after 'hf:'",
    )
    split: str | None = Field(None, description="train, test …; default: the only one there is")
    column: str | None = Field(
        None, description="column of the pictures; default: the only one that is declared"
    )
    label: str | None = Field(
        None, description="column of the classes; none: no classes; default: the declared one"
    )
    revision: str | None = Field(None, description="commit, tag or branch on the hub")


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register the data sets of the hub."""
    register(
        DataSpec(
            name="hf",
            summary="a data set of Hugging Face's library: hf:owner/name, "
            "hf:owner/name:configuration or hf:./folder",
            licence="each its own",
            target="seeingkit_plugins.huggingface.pictures:open_data_set",
            options=HubOptions,
            takes_reference=True,
        )
    )
