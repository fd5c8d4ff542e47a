"""The engine that decodes lanes of prompts with any causal language model."""
