"""Writes the validation page: method, tables and figures.

Guarantees: every number comes from the findings; the page names the command that made it and how
often each simulation was repeated; it carries no date and no machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import coverage, figures, summary
from .promises import promises
from .running import Finding
from .sections import (
    bias_section,
    claims_section,
    coverage_section,
    p_value_section,
    power_section,
)
from .tables import span, table


def page(found: Sequence[Finding], command: str, notes: Sequence[str], hypotheses: str = "") -> str:
    """The whole page in Markdown; ``hypotheses``: the table of ``hypotheses``."""
    sources = {f.source.name: f.source for f in found}
    described = table(
        ("source", "what it is", "images", "classes"),
        (
            (s.name, s.summary, f"{s.images:,}" if s.images else "no end", str(len(s.classes)))
            for s in sources.values()
        ),
    )
    said = "".join(f"- {note}\n" for note in notes)
    draws = max((f.truth.images for f in found if f.source.images is None), default=0)
    permutations = span(f.cell.permutations for f in found)
    return f"""# Validation by planted omissions

Written by `{command}`; every number on this page comes from that run.

Two samples of the same source are drawn, with no image in common. From one, called generated, a
class is removed from a share of the images that show it, thinned, or turned into another class.
What it loses goes to the largest other class of the same image, as if the generator had painted
what lies behind. Each image is hit by itself with that probability, so the generated images stay
independent draws. Then the public `seeingkit.compare` is asked, as a user would ask it,
but with fewer permutations ({permutations}) than it makes by default.

True values come from the same images with and without the omission ({draws:,} of a family, all
images of a pool): there is no sampling floor in them. ± is one standard error over the repeats.

{described}

{said}
## In short

{promises(found)}

{claims_section(found)}
{_hypotheses_section(hypotheses)}
{p_value_section(found)}
{coverage_section(found)}
{power_section(found)}
{bias_section(found)}
## What this does not promise

- The images of a sample are independent here. Frames of one video, crops of one photo or copies are
  not: intervals of such images are too narrow, and p-values too small.
- A planted omission changes areas and nothing else. Whether a segmenter sees the class in generated
  images at all is another question, which only labels, a second segmenter or your eyes answer.
- The level is that of the false discovery *rate*, over many runs: a single run may hold more wrong
  claims than 5 %.
- Sources with other tails than these may behave otherwise.
"""


def _hypotheses_section(shown: str) -> str:
    if not shown:
        return ""
    return f"""## Claims whose own null is true, and everything else differs

In each family of pairs one kind of claim is false of each of the labels that it is counted for, and
other things differ between the sides. *False ÷ all claims* is the false discovery rate of that
claim: stated at 2.5 % for one question, 5 % for any. Bursts that nobody named show what groups are
for.

{shown}
"""


def write(
    found: Sequence[Finding],
    folder: Path,
    command: str,
    notes: Sequence[str],
    hypotheses: str = "",
) -> Path:
    """Write ``validation.md`` and its figures into a folder."""
    rows = summary.null_claims(found), coverage.null_coverage(found), summary.power(found)
    charts: dict[str, Callable[[], Any]] = {
        "claims": lambda: figures.claims_chart(rows[0]) if rows[0] else None,
        "p-values": lambda: figures.uniform_chart(found),
        "coverage": lambda: figures.coverage_chart(rows[1], coverage.distance_coverage(found)),
        "power": lambda: figures.power_chart(rows[2]),
        "bias": lambda: figures.bias_chart(summary.bias(found)),
    }
    text = page(found, command, notes, hypotheses)
    for name, build in charts.items():
        chart = build()
        link = f"figures/validation-{name}.svg"
        if chart is None:
            lines = [line for line in text.split("\n") if f"({link})" not in line]
            text = "\n".join(lines)
        else:
            figures.save(chart, folder / link)
    path = folder / "validation.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
