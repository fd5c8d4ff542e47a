"""Words of choices that those know, too, who only make them."""

HARMLESS = "a word, which stands in fingerprints by its value"

MEAN = "mean"
"""What to choose by: the mean over categories, each counted once."""
