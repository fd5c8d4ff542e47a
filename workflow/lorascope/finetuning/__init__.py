"""LoRA fine-tuning of a model on responses. Planning imports this package, never torch."""

FINETUNE_CODE = ("stages/finetune.py", "finetuning/")
"""The modules, as paths within the package, whose logic decides an adapter."""

FILES = (
    "parameter_groups.json",
    "training.parquet",
    "training.json",
    "adapter_config.json",
    "adapter_model.safetensors",
)
"""What a training writes into the adapter's folder, in this order."""
