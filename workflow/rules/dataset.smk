rule dataset:
    input:
        inputs("dataset"),
    output:
        **STAGES["dataset"].outputs,
    log:
        STAGES["dataset"].log,
    conda:
        "../../envs/data.yaml"
    params:
        job=told("dataset"),
        what=message("dataset"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.dataset --job {params.job:q}"
        " --out {output.dataset:q} --log {log:q}"
