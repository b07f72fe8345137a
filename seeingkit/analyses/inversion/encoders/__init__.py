"""Encoders from images to a latent or to r: their networks, training and files."""
