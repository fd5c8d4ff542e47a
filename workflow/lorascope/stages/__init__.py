"""One command-line module per rule: ``python -m lorascope.stages.<stage>``."""
