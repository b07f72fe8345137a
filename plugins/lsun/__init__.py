"""LSUN scenes as the paper's authors published them: a few photos, and tallies of many."""
