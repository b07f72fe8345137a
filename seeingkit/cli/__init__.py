"""The command line. A command imports other rooms when it runs, so that ``--help`` is quick."""

from .main import app

__all__ = ["app"]
