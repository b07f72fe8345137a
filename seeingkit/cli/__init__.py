"""The commands. Each imports what it needs when it runs; ``--help`` needs none of it."""

from .main import app

__all__ = ["app"]
