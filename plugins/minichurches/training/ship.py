"""Writes ``weights/shipped.json``: name, size and hash of every network that ships.

python -m seeingkit_plugins.minichurches.training.ship
"""

from __future__ import annotations

import json
from pathlib import Path

from seeingkit.caching import file_sha256

WEIGHTS = Path(__file__).parents[1] / "weights"
SUMMARIES = {
    "progan": ("gan", "ProGAN grown to 64x64 on 40,000 minichurches scenes (series 0)"),
    "upernet": ("segmenter", "UPerNet for 64x64 minichurches scenes, objects and parts"),
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
            }
        )
    (WEIGHTS / "shipped.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
