rule infer:
    input:
        inputs("infer"),
    output:
        shard=temp(STAGES["infer"].outputs["shard"]),
    log:
        STAGES["infer"].log,
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=gpus("infer"),
    params:
        job=told("infer"),
        what=message("infer"),
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.infer --job {params.job:q} --shard {wildcards.shard}"
        " --shards {wildcards.shards} --gpus {resources.gpu}"
        " --out {output.shard:q} --log {log:q}"
