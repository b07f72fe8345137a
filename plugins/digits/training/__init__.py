"""Recipes that made the shipped weights. Nothing in the library imports this package."""
