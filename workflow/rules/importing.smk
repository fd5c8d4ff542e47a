rule importing:
    input:
        inputs("importing"),
    output:
        **STAGES["importing"].outputs,
    log:
        STAGES["importing"].log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("importing"),
        what=message("importing"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.importing --job {params.job:q}"
        " --out {output.imported:q} --log {log:q}"
