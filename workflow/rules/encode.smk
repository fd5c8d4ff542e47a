rule encode:
    input:
        inputs("encode"),
    output:
        **STAGES["encode"].outputs,
    log:
        STAGES["encode"].log,
    # Before answers, see dataset.
    priority: 1
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=gpus("encode"),
    params:
        job=told("encode"),
        what=message("encode"),
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.encode --job {params.job:q} --chunk {wildcards.chunk}"
        " --chunks {wildcards.chunks} --gpus {resources.gpu}"
        " --out {output.features:q} --log {log:q}"
