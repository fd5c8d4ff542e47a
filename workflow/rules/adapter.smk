rule finetune:
    input:
        finetune_inputs,
    output:
        # Not the folder: a failed job would lose it, and the checkpoints in it.
        "results/adapters/{adapter}/{digest}/parameter_groups.json",
        "results/adapters/{adapter}/{digest}/training.parquet",
        "results/adapters/{adapter}/{digest}/training.json",
        "results/adapters/{adapter}/{digest}/adapter_config.json",
        weights="results/adapters/{adapter}/{digest}/adapter_model.safetensors",
    log:
        "results/logs/finetune/{adapter}/{digest}.log",
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=finetune_gpus,
    params:
        job=finetune_job,
        what=finetune_message,
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.finetune --job {params.job:q} --gpus {resources.gpu}"
        " --out {output.weights:q} --log {log:q}"
