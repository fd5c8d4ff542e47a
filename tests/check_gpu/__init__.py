"""What the stages do on a GPU: see __main__.py."""
