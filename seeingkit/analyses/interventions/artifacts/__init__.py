"""Artifact units: units whose ablation brings a generator's images nearer to the real ones.

In the order of use: a ``spaces.Space`` turns pictures into rows, of which distances from real ones
are taken; ``scores`` ranks the units of a layer on images of a series of their own; ``stage`` tests
the first of the ranking on fresh images and fresh real images, against random units of the same
number (``seeingkit.statistics.gains``). Units that only seemed to help in the search show no gain
there: the search can say no.
"""
