"""A suite for people: its tables as text and files, and its static site, made of results alone.

Importing this loads neither torch nor the chart libraries; Jinja is imported when a page
is written.
"""

from __future__ import annotations

from .reading import Suite, read_suite
from .site import write_site
from .tables import suite_columns, suite_table

__all__ = ["Suite", "read_suite", "suite_columns", "suite_table", "write_site"]
