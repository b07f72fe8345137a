"""Executors of suites: processes of this machine, torchrun, Slurm."""
