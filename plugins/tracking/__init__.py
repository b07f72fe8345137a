"""Trackers of experiments that finished runs are exported to: TensorBoard, Weights & Biases."""
