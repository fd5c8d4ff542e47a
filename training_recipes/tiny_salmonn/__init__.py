"""The recipe of tiny-salmonn: synthetic clips, and a SALMONN trained on them from nothing."""
