"""Writes ``weights/shipped.json``: name, size and hash of every network that ships.

python -m seeingkit_plugins.minichurches.training.ship
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors

from seeingkit.system.cache import file_sha256
from seeingkit.system.writing import write_text

WEIGHTS = Path(__file__).parents[1] / "weights"
SUMMARIES = {
    "progan": ("gan", "ProGAN grown to 64x64 on 40,000 minichurches scenes (series 0)"),
    "stylegan2": ("gan", "StyleGAN2 grown to 64x64 on 40,000 minichurches scenes (series 0)"),
    "bigbigan": ("gan", "small BigBiGAN of 32x32; its encoder has not learnt to invert"),
    "upernet": ("segmenter", "UPerNet for 64x64 minichurches scenes, objects and parts"),
    "layered": ("inverter", "layered encoder E = e_1 ∘ e_2 ∘ e_f of the ProGAN"),
    "direct": ("inverter", "direct encoder of the ProGAN, image to z"),
}


def main() -> None:
    """List every safetensors file of the weights folder."""
    entries = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        family = path.name.partition("-")[0]
        kind, summary = SUMMARIES[family]
        entries.append(
            {
                "family": family,
                "kind": kind,
                "summary": summary,
                "file": path.name,
                "sha256": file_sha256(path),
                "size": path.stat().st_size,
                "options": _encoder_options(path) if kind == "inverter" else {},
            }
        )
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    write_text(WEIGHTS / "shipped.json", text + "\n")


def _encoder_options(path: Path) -> dict[str, Any]:
    """The generator, kind and cut of an encoder, by which the registry finds it unopened."""
    with safetensors.safe_open(str(path), framework="np") as file:
        about = json.loads(file.metadata()["seeingkit_encoder"])
    return {name: about[name] for name in ("generator", "kind", "cut")}


if __name__ == "__main__":
    main()
