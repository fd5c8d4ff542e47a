"""The device a job computes on."""


def device() -> str:
    """Return "cuda" where torch sees a GPU and "cpu" elsewhere."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
