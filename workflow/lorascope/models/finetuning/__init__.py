"""LoRA fine-tuning of a model on responses: what the families' trainings share."""
