"""The recipe of tiny-llama: made-up passages, and a Llama trained on them from nothing."""
