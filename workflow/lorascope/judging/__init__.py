"""Judges: what is asked of one, who is asked, and what was answered before."""
