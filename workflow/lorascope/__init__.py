"""What a LoRA adapter does to a model: the logic behind the Snakemake workflow."""
