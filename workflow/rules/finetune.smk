rule finetune:
    input:
        inputs("finetune"),
    output:
        # Not the folder: a failed job would lose it, and the checkpoints in it.
        **STAGES["finetune"].outputs,
    log:
        STAGES["finetune"].log,
    # Before answers, see dataset.
    priority: 1
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=gpus("finetune"),
    params:
        job=told("finetune"),
        what=message("finetune"),
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.finetune --job {params.job:q} --gpus {resources.gpu}"
        " --out {output.weights:q} --log {log:q}"
