"""Formats in which answers come from other tools and go to them, one module a format."""
