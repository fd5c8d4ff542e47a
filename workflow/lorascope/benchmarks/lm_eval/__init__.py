"""Tasks of lm-evaluation-harness, asked of models and judged as any other benchmark."""
