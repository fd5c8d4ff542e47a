"""LoRA fine-tuning of a model on responses. Planning imports this package, never torch."""

FINETUNE_CODE = ("finetuning/",)
"""The modules, as paths within the package, whose logic decides an adapter."""
