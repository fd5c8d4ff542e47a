rule merge:
    input:
        inputs("merge"),
    output:
        **STAGES["merge"].outputs,
    log:
        STAGES["merge"].log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("merge"),
        what=message("merge"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.merge --job {params.job:q}"
        " --runtime {output.runtime:q}"
        " --out {output.predictions:q} --log {log:q}"
