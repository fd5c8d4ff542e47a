localrules:
    merge,


rule encode:
    message:
        "{params.what}"
    input:
        encode_inputs,
    output:
        "results/features/{model}/{dataset}/{digest}/{chunk}-of-{chunks}.safetensors",
    log:
        "results/logs/encode/{model}/{dataset}/{digest}/{chunk}-of-{chunks}.log",
    params:
        job=lambda wildcards: PLAN.encode_job(features(wildcards)),
        what=encode_message,
    resources:
        gpu=gpus,
    conda:
        "../../envs/model.yaml"
    shell:
        "python -m lorascope.stages.encode --job {params.job:q} --chunk {wildcards.chunk}"
        " --chunks {wildcards.chunks} --out {output:q} --log {log:q}"


rule infer:
    message:
        "{params.what}"
    input:
        infer_inputs,
    output:
        temp("results/experiments/{id}/{digest}/shards/{shard}-of-{shards}.parquet"),
    log:
        "results/logs/infer/{id}/{digest}/{shard}-of-{shards}.log",
    params:
        job=lambda wildcards: PLAN.infer_job(experiment(wildcards)),
        what=infer_message,
    resources:
        gpu=gpus,
    conda:
        "../../envs/model.yaml"
    shell:
        "python -m lorascope.stages.infer --job {params.job:q} --shard {wildcards.shard}"
        " --shards {wildcards.shards} --out {output:q} --log {log:q}"


rule merge:
    message:
        "{wildcards.id}: merge the shards"
    input:
        merge_inputs,
    output:
        predictions="results/experiments/{id}/{digest}/predictions.parquet",
        runtime="results/experiments/{id}/{digest}/runtime.parquet",
    log:
        "results/logs/merge/{id}/{digest}.log",
    params:
        job=lambda wildcards: PLAN.merge_job(experiment(wildcards)),
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m lorascope.stages.merge --job {params.job:q}"
        " --out {output.predictions:q} --runtime {output.runtime:q} --log {log:q}"
