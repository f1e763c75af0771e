"""Timing of models: taking turns, medians, time by op, and what machine it was. No torch."""
