"""Names of files that a SALMONN's adapter may have beside peft's."""

BRIDGE = "bridge.safetensors"
"""A bridge that was trained with an adapter, under its released names."""
