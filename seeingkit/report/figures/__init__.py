"""The charts of the page, as Altair specifications."""
