rule score:
    input:
        inputs("score"),
    output:
        **STAGES["score"].outputs,
    log:
        STAGES["score"].log,
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        job=told("score"),
        what=message("score"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.score --job {params.job:q} --out {output.scores:q} --log {log:q}"
