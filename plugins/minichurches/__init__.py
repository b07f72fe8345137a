"""The embedded default: church scenes drawn by our own renderer, and networks trained on them."""
