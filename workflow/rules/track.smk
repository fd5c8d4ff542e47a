rule track:
    input:
        inputs("track"),
    output:
        **STAGES["track"].outputs,
    log:
        STAGES["track"].log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("track"),
        what=message("track"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.track --job {params.job:q} --out {output.sent:q} --log {log:q}"
