"""SALMONN (https://arxiv.org/abs/2310.13289): a Whisper encoder, BEATs, a Q-Former and a Llama."""
