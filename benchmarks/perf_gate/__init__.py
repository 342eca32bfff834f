"""Calibration of the performance gate: how often it cries wolf, and what it sees (see README.md)."""
