"""ESPNet and ESPNetv2."""
