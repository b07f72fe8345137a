"""The comparison of two tallies: what a generator leaves out of its distribution, and how sure that is."""
