rule dataset:
    input:
        inputs("dataset"),
    output:
        **STAGES["dataset"].outputs,
    log:
        STAGES["dataset"].log,
    # Answers come last, so that a model is loaded once for all that there is to ask.
    priority: 1
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
