"""Residual generators: mimicry, StudioGAN, and the ResNet of WGAN-GP."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
