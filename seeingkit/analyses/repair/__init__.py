"""Repair: can an omitted class be brought back by editing a weight of the generator?"""
