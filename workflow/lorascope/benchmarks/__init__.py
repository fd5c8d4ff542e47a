"""Benchmarks: each module turns published files into items."""
