rule page:
    input:
        inputs("page"),
    output:
        **PLAN.find("page", {}).outputs,
    log:
        PLAN.find("page", {}).log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        job=told("page"),
        what=message("page"),
    message:
        "{params.what}"
    shell:
        "python -m lorascope.stages.page --job {params.job:q} --out {output.page:q} --log {log:q}"
