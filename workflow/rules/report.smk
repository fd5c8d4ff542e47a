localrules:
    score,
    report,


rule score:
    message:
        "{wildcards.id}: score the responses"
    input:
        score_inputs,
    output:
        "results/experiments/{id}/{digest}/scores-{score_digest}.parquet",
    log:
        "results/logs/score/{id}/{digest}-{score_digest}.log",
    params:
        job=lambda wildcards: PLAN.score_job(experiment(wildcards)),
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m lorascope.stages.score --job {params.job:q} --out {output:q} --log {log:q}"


rule report:
    message:
        "report {PLAN.study.name}"
    input:
        report_inputs,
    output:
        [PLAN.report_folder / name for name in REPORT_FILES],
        manifest=PLAN.manifest,
    log:
        f"results/logs/report/{PLAN.study.name}.log",
    params:
        job=lambda wildcards: PLAN.report_job(),
    conda:
        "../../envs/data.yaml"
    shell:
        "python -m lorascope.stages.report --job {params.job:q} --out {output.manifest:q} --log {log:q}"


# `snakemake <ID>` makes one experiment up to its scores.
for planned in PLAN.experiments.values():

    rule:
        name:
            planned.experiment.id
        input:
            planned.predictions,
            planned.scores,
