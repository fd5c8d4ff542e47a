rule derive:
    input:
        inputs("derive"),
    output:
        **STAGES["derive"].outputs,
    log:
        STAGES["derive"].log,
    # Before answers, see dataset.
    priority: 1
    conda:
        "../../envs/model.yaml"
    params:
        job=told("derive"),
        what=message("derive"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.derive --job {params.job:q} --out {output.weights:q}"
        " --log {log:q}"
