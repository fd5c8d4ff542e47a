"""Benchmarks: published files that become items, one module or package each."""
