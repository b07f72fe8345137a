"""Suites: many generators × data sets × segmenters in one folder, on many processes.

``schema`` (the file) → ``graph`` (steps: tallies, cells, rankings) → ``worker`` (claims steps and
runs them) → ``collection`` (``results.json``, the site). ``executors`` start the workers.
"""
