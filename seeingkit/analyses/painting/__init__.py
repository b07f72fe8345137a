"""Brushes and starting states for painting: units of classes, their values, inverted photos."""
