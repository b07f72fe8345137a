"""Suites: the embedded one (``minichurches.toml``), and what is measured of suites."""
