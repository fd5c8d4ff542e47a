checkpoint search:
    input:
        inputs("search"),
    output:
        **STAGES["search"].outputs,
    log:
        STAGES["search"].log,
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        job=told("search"),
        what=message("search"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.search --job {params.job:q} --out {output.rung:q} --log {log:q}"
