"""FID, KID, Inception Score, precision and recall by torch-fidelity, an optional library."""
