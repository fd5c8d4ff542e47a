localrules:
    score,
    report,
    gate,


rule score:
    input:
        score_inputs,
    output:
        "results/experiments/{id}/{digest}/scores-{score_digest}.parquet",
    log:
        "results/logs/score/{id}/{digest}-{score_digest}.log",
    conda:
        "../../envs/model.yaml"
    params:
        job=score_job,
    message:
        "{wildcards.id}: score the responses"
    shell:
        "python -m lorascope.stages.score --job {params.job:q} --out {output:q} --log {log:q}"


rule report:
    input:
        report_inputs,
    output:
        PLAN.report_files[:-1],
        manifest=PLAN.manifest,
    log:
        f"results/logs/report/{PLAN.study.name}.log",
    conda:
        "../../envs/data.yaml"
    params:
        job=report_job,
    message:
        "report {PLAN.study.name}"
    shell:
        "python -m lorascope.stages.report --job {params.job:q} --out {output.manifest:q} --log {log:q}"


rule gate:
    input:
        gate_inputs,
    output:
        PLAN.gate,
    log:
        f"results/logs/gate/{PLAN.study.name}.log",
    conda:
        "../../envs/data.yaml"
    params:
        job=gate_job,
    message:
        "gate {PLAN.study.name}: stop where too little was retained"
    shell:
        "python -m lorascope.stages.gate --job {params.job:q} --out {output:q} --log {log:q}"


# `snakemake <ID>` makes one experiment up to its scores.
for planned in PLAN.experiments.values():

    rule:
        name:
            planned.experiment.id
        input:
            planned.predictions,
            planned.runtime,
            planned.scores,
