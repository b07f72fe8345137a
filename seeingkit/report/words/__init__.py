"""The words of the page: numbers, verdicts, cautions, definitions.

Sentences are plain text, for the page and for the terminal, not yet escaped for a page. Names of
classes and files come from outside and are never treated as markup.
"""
