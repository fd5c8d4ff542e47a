rule download:
    input:
        inputs("download"),
    output:
        **STAGES["download"].outputs,
    log:
        STAGES["download"].log,
    # Before answers, see dataset.
    priority: 1
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("download"),
        what=message("download"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.download --job {params.job:q}"
        " --out {output.marker:q} --log {log:q}"
