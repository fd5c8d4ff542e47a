rule report:
    input:
        inputs("report"),
    output:
        **reported("report"),
    log:
        PLAN.find("report", {}).log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("report"),
        what=message("report"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.report --job {params.job:q}"
        " --out {output.manifest:q} --log {log:q}"
