"""What the machine gives: cache folder, digests, locks, processes, progress, devices."""
