"""LoRA fine-tuning: data, parameter groups, training with checkpoints, peft's files."""

FINETUNE_CODE = ("stages/finetune.py", "finetuning/")
"""Modules whose logic decides an adapter; those of the model's family and data come on top."""

DATA_CODE = {
    "jsonl": (),
    "squad": ("benchmarks/items.py", "benchmarks/squad.py"),
    "sakura": ("benchmarks/items.py", "benchmarks/sakura.py", "scoring/options.py"),
}
"""Format of training data -> the modules that read it, besides."""

FILES = (
    "adapter_config.json",
    "parameter_groups.json",
    "training.parquet",
    "training.json",
    "adapter_model.safetensors",
)
"""What a training writes into the adapter's folder, in this order."""
