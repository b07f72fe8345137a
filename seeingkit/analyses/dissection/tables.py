"""Tables of a dissection for Python: one of units, one of layers."""

from __future__ import annotations

from seeingkit.results import Column, DissectionResults, Frame, table

_SHARE = "in [0, 1]"
UNITS = {
    "layer": Column(str, "name of the layer"),
    "unit": Column(int, "its number in the layer, from 0"),
    "label": Column(str, "class of the unit; empty: no label"),
    "category": Column(str, "object, part, material, … of the class the numbers are of"),
    "nearest": Column(str, "the class the numbers are of: the label, else the nearest class"),
    "iou": Column(float, f"intersection over union, {_SHARE}"),
    "chance": Column(float, f"IoU with label maps of other images, {_SHARE}"),
    "low": Column(float, f"lower end of the 95 % interval of iou, {_SHARE}"),
    "high": Column(float, f"upper end of the 95 % interval of iou, {_SHARE}"),
    "q": Column(float, "false discovery rate at which it is claimed; 1: not tested"),
    "quality": Column(float, f"information quality ratio, {_SHARE}"),
    "level": Column(float, "the unit is active above this value"),
    "active": Column(float, f"share of pixels above the level, {_SHARE}"),
}
"""Columns of the table of units."""

LAYERS = {
    "layer": Column(str, "name of the layer"),
    "units": Column(int, "units of the layer"),
    "labelled": Column(int, "units with a label"),
    "distinct": Column(int, "classes with a unit"),
    "classes": Column(str, "units of each class, most first"),
    "by_iou": Column(int, "units that a bound of 0.04 on IoU alone would label"),
    "by_iou_of_others": Column(int, "the same with the label maps of other images"),
    "images": Column(int, "images that were counted"),
}
"""Columns of the table of layers."""


def unit_table(results: DissectionResults) -> Frame:
    """All units, layer by layer.

    ::

        unit_table(results)["iou"]
    """
    return table((unit.model_dump(include=set(UNITS)) for unit in results.units), UNITS)


def layer_table(results: DissectionResults) -> Frame:
    """The layers, in the order of the generator.

    ::

        layer_table(results)["labelled"]
    """
    rows = [
        {
            **layer.model_dump(include=set(LAYERS) - {"classes"}),
            "layer": layer.name,
            "classes": ", ".join(f"{one.label} {one.units}" for one in layer.classes),
        }
        for layer in results.layers
    ]
    return table(rows, LAYERS)
