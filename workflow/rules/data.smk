localrules:
    download,


rule download:
    message:
        "download {wildcards.download}"
    output:
        "results/downloads/{download}.json",
    log:
        "results/logs/download/{download}.log",
    params:
        job=download_job,
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m lorascope.stages.download"
        " --job {params.job:q} --out {output:q} --log {log:q}"


rule dataset:
    message:
        "dataset {wildcards.dataset}: read the questions and check the clips"
    input:
        dataset_inputs,
    output:
        "results/datasets/{dataset}/{digest}/items.parquet",
    log:
        "results/logs/dataset/{dataset}/{digest}.log",
    params:
        job=lambda wildcards: PLAN.dataset_job(dataset(wildcards)),
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m lorascope.stages.dataset"
        " --job {params.job:q} --out {output:q} --log {log:q}"
