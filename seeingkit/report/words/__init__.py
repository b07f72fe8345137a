"""The words of the page: numbers, verdicts, cautions, definitions."""
