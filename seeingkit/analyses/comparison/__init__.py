"""The comparison of two tallies: what a generator leaves out, and how sure that is."""
