"""Monitors of trainings for other libraries: torchmetrics, and Lightning."""
