"""What the families that translate images have in common: adapter, norms, dropout, networks."""
