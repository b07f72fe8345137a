"""Checks of a finished comparison: what could mislead it. They never change it."""
