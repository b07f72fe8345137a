"""Interventions: what happens to every class when units of a layer are ablated or inserted.

In the order of use: a ``subjects.Subject`` is a generator cut at a layer with a segmenter, a
``Sample`` some of its images; ``effects.measure`` counts the same images without and with
``Intervention`` s, ``differences`` gives the effects with intervals and claims; ``candidates``
finds the ``cells`` and the constants that ``optimise`` ranks units with, by the ``objective`` of
the average causal effect, and ``choice`` does both; ``curves`` gives the effect against the number
of units on other images, ``places`` the effect of an insertion at every cell; ``stage`` does what a
command asks for. Units come as numbers: how they are ranked is not asked here.
"""
