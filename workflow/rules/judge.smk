rule judge:
    input:
        inputs("judge"),
    output:
        **STAGES["judge"].outputs,
    log:
        STAGES["judge"].log,
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=gpus("judge"),
    params:
        job=told("judge"),
        what=message("judge"),
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.judge --job {params.job:q} --gpus {resources.gpu}"
        " --out {output.verdicts:q} --log {log:q}"
