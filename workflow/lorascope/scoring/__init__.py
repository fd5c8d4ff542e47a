"""Scorers, one module or package each: pure functions from a response and its item to scores."""
