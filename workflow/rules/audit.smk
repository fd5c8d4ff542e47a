rule audit:
    input:
        inputs("audit"),
    output:
        **STAGES["audit"].outputs,
    log:
        STAGES["audit"].log,
    # An adapter for another model is told before its questions are asked.
    priority: 1
    conda:
        "../../envs/model.yaml"
    params:
        job=told("audit"),
        what=message("audit"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.audit --job {params.job:q} --modules {output.modules:q}"
        " --out {output.audit:q} --log {log:q}"
