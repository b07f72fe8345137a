"""Registers the photos of minilsun and the authors' training tallies; never imports torch.

Addresses and the MD5 are those in the code of ganseeing (Bau et al., ICCV 2019); the tallies have
no published hash, nor is a licence stated for any of the files. They are fetched on first use.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.models.hub.manifests import Manifest, overlaid
from seeingkit.specs import DataSpec, Options, Register, WeightFile, hookimpl

PACKAGE = "seeingkit_plugins.lsun"
_DATASETS = "http://gandissect.csail.mit.edu/datasets/"

SHIPPED = Manifest(
    weights={},
    data={
        "minilsun": (
            WeightFile(
                name="minilsun.zip",
                url=f"{_DATASETS}minilsun.zip",
                md5="4bf19f711555a5771220384db4c97999",
            ),
        ),
        "churches-tally": (
            WeightFile(
                name="datasets_lsun_church_outdoor_train_segtally_10000.npy",
                url=f"{_DATASETS}seeing/datasets_lsun_church_outdoor_train_segtally_10000.npy",
            ),
        ),
        "bedrooms-tally": (
            WeightFile(
                name="datasets_lsun_bedroom_train_segtally_10000.npy",
                url=f"{_DATASETS}seeing/datasets_lsun_bedroom_train_segtally_10000.npy",
            ),
        ),
    },
    domains={},
)
"""The files of each data set; ``SEEINGKIT_ZOO`` may name others."""

ALIASES = {
    "churches": ("church", "churchoutdoor", "church_outdoor", "lsun-church"),
    "bedrooms": ("bedroom", "lsun-bedroom"),
}
GANS = {"churches": "progan:church", "bedrooms": "progan:bedroom"}


class PhotoOptions(Options):
    """Options of the photos."""

    split: Literal["train", "val"] = Field("train", description="LSUN's training or validation set")


def data_files(name: str) -> tuple[WeightFile, ...]:
    """The files of a data set, the user's own (``SEEINGKIT_ZOO``) before ours."""
    return overlaid(SHIPPED).data[name]


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register photos and tallies of both scenes."""
    for name, aliases in ALIASES.items():
        register(
            DataSpec(
                name=name,
                aliases=aliases,
                summary=f"photos of {name} in minilsun, the small part of LSUN used by ganseeing",
                licence="none stated; photos by many, collected by LSUN (Yu et al. 2015)",
                target=f"{PACKAGE}.photos:{name}",
                options=PhotoOptions,
                segmenter="upernet:upp",
                gan=GANS[name],
            )
        )
        register(
            DataSpec(
                name=f"{name}-tally",
                aliases=tuple(f"{alias}-tally" for alias in aliases),
                summary=f"class areas of 10,000 LSUN photos of {name}, as the authors counted them",
                licence="none stated",
                target=f"{PACKAGE}.tallies:{name}",
                segmenter="upernet:upp",
                gan=GANS[name],
            )
        )
