"""Scorers: pure functions from a response and its item to a score."""
