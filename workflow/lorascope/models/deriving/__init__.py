"""Adapters that are made from others without training."""
