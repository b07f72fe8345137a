"""The machine: cache folder, digests, atomic writes, locks, processes, progress, devices."""
