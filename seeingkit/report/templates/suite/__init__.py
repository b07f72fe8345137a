"""Templates, style and scripts of the site of a suite."""
