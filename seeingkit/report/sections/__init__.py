"""The sections of the page, a module each or a few together."""
