"""``python -m benchmarks.inversion_claims``: measure, and write docs/validation-inversion.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from seeingkit.system.cache import cache_folder

from .measured import measure_all
from .page import page

DOCS = Path(__file__).parents[2] / "docs" / "validation-inversion.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where inversions are kept; default: the cache")
    parser.add_argument("--write-only", action="store_true", help="the page of what is there")
    parser.add_argument("--out", type=Path, default=DOCS)
    args = parser.parse_args()
    folder = args.folder or cache_folder() / "inversion-claims"
    if not args.write_only:
        measure_all(folder)
    args.out.write_text(page(folder), encoding="utf-8")
    print(args.out)


if __name__ == "__main__":
    main()
