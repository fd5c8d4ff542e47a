"""The study as typed, closed models: what may be written in it, and what plug-ins add to it."""
