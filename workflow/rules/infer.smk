localrules:
    merge,


rule encode:
    input:
        encode_inputs,
    output:
        "results/features/{model}/{dataset}/{digest}/{chunk}-of-{chunks}.safetensors",
    log:
        "results/logs/encode/{model}/{dataset}/{digest}/{chunk}-of-{chunks}.log",
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=encode_gpus,
    params:
        job=encode_job,
        what=encode_message,
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.encode --job {params.job:q} --chunk {wildcards.chunk}"
        " --chunks {wildcards.chunks} --gpus {resources.gpu} --out {output:q} --log {log:q}"


rule infer:
    input:
        infer_inputs,
    output:
        temp("results/experiments/{id}/{digest}/shards/{shard}-of-{shards}.parquet"),
    log:
        "results/logs/infer/{id}/{digest}/{shard}-of-{shards}.log",
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=infer_gpus,
    params:
        job=infer_job,
        what=infer_message,
    message:
        "{params.what} (GPUs: {resources.gpu})"
    shell:
        "python -m lorascope.stages.infer --job {params.job:q} --shard {wildcards.shard}"
        " --shards {wildcards.shards} --gpus {resources.gpu} --out {output:q} --log {log:q}"


rule merge:
    input:
        merge_inputs,
    output:
        predictions="results/experiments/{id}/{digest}/predictions.parquet",
        runtime="results/experiments/{id}/{digest}/runtime.parquet",
    log:
        "results/logs/merge/{id}/{digest}.log",
    conda:
        "../../envs/data.yaml"
    params:
        job=merge_job,
    message:
        "{wildcards.id}: merge the shards"
    shell:
        "python -m lorascope.stages.merge --job {params.job:q}"
        " --out {output.predictions:q} --runtime {output.runtime:q} --log {log:q}"
