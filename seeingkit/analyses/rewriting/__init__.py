"""Rewriting: edits of one weight that change a rule of a generator (Bau et al., ECCV 2020).

In the order of use: ``regions`` are parts of images that a ``Request`` copies, pastes on, or names
as context; a ``bench.Bench`` is a generator at one site, which gives keys and values of them;
``moments`` are second moments of keys over many images; ``directions`` are the context directions
that an edit may use, and ``goals`` the values it is to reach; ``published`` solves by Adam as the
original does, ``closed`` by regularised least squares; ``plan`` puts them together and gives a
``models.weightedits.WeightEdit``.
"""
