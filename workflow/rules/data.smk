localrules:
    download,


rule download:
    output:
        "results/downloads/{download}.json",
    log:
        "results/logs/download/{download}.log",
    conda:
        "../../envs/data.yaml"
    params:
        job=download_job,
    message:
        "download {wildcards.download}"
    shell:
        "python -m lorascope.stages.download" " --job {params.job:q} --out {output:q} --log {log:q}"


rule dataset:
    input:
        dataset_inputs,
    output:
        "results/datasets/{dataset}/{digest}/items.parquet",
    log:
        "results/logs/dataset/{dataset}/{digest}.log",
    conda:
        "../../envs/data.yaml"
    params:
        job=dataset_job,
    message:
        "dataset {wildcards.dataset}: read the questions and check the clips"
    shell:
        "python -m lorascope.stages.dataset" " --job {params.job:q} --out {output:q} --log {log:q}"
