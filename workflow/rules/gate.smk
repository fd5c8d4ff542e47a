rule gate:
    input:
        inputs("gate"),
    output:
        **STAGES["gate"].outputs,
    log:
        STAGES["gate"].log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("gate"),
        what=message("gate"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.gate --job {params.job:q} --out {output.retained:q} --log {log:q}"
