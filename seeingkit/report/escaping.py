r"""Texts from files inside Markdown, LaTeX and CSV, so that they are read as the text they are.

Guarantees: in Markdown (CommonMark with the tables, strikethrough and mathematics of GitHub) and in
LaTeX every text is shown as its characters and starts nothing: no markup, command, link or formula.
White space is shown as single spaces there, and what is not printable is replaced (``printable``).
A spreadsheet that opens the CSV takes no text for a formula, and ``csv_original`` undoes the guard.
"""

from __future__ import annotations

import re

from seeingkit.errors import printable

_MARKDOWN = re.compile(r"([\\`*_\[\]<>&|~$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # Three characters that the usual encoding of fonts (OT1) shows as others.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\char34{}",  # of no encoding in particular, and not active in any language of babel
    # After the end of a row, these would be its optional argument and its star.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}
_SPECIAL = re.compile("[" + re.escape("".join(_LATEX)) + "]")
_LIGATURES = re.compile(r"([-',])(?=\1)")  # two of them are a dash or quotation marks

_FORMULA = re.compile(r"'*\s*[=+\-@＝＋－＠].", re.DOTALL)
"""Texts that a spreadsheet may evaluate (OWASP, "CSV Injection"), also in full width; a sign alone
is none. Those with apostrophes before them count, so that the guard can be taken off again."""


def shown_text(text: object) -> str:
    """A text in one line of printable characters and single spaces.

    >>> shown_text("traffic\\n light ")
    'traffic light'
    """
    return " ".join(printable(text).split())


def markdown_text(text: object) -> str:
    r"""A text inside a line or a table of Markdown.

    >>> print(markdown_text("a|b_c <b>"))
    a\|b\_c \<b\>
    """
    return _MARKDOWN.sub(r"\\\1", shown_text(text))


def latex_text(text: object) -> str:
    r"""A text inside LaTeX, also as the first one in a row of a table.

    Characters beyond ASCII stay: pdfTeX has the European ones, XeTeX and LuaTeX those of the font.

    >>> print(latex_text("[50 %] a_b"))
    {[}50 \%{]} a\_b
    """
    apart = _LIGATURES.sub("\\1\0", shown_text(text))  # printable text has no NUL of its own
    return _SPECIAL.sub(lambda found: _LATEX[found[0]], apart).replace("\0", "{}")


def csv_text(text: object) -> str:
    """A text as a cell of CSV before quoting: printable, with ``'`` before what may be a formula.

    >>> csv_text("=cmd()"), csv_text("sky"), csv_text("-")
    ("'=cmd()", 'sky', '-')
    """
    plain = printable(text)
    return f"'{plain}" if _FORMULA.match(plain) else plain


def csv_original(cell: str) -> str:
    """The text that ``csv_text`` made a cell of, up to characters that are not printable.

    >>> csv_original("'=cmd()"), csv_original("'sky'")
    ('=cmd()', "'sky'")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
