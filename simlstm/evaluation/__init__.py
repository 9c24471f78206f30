"""Evaluation: metrics, thresholds and calibration fitted on dev, and the measuring of a model."""
