"""The recipe of tiny-salmonn: synthetic clips, and a SALMONN-shaped model trained on them from nothing."""
