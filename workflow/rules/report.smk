localrules:
    score,
    report,


rule score:
    input:
        score_inputs,
    output:
        "results/experiments/{id}/{digest}/scores-{score_digest}.parquet",
    log:
        "results/logs/score/{id}/{digest}-{score_digest}.log",
    conda:
        "../../envs/data.yaml"
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
        [PLAN.report_folder / name for name in REPORT_FILES],
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


# `snakemake <ID>` makes one experiment up to its scores.
for planned in PLAN.experiments.values():

    rule:
        name:
            planned.experiment.id
        input:
            planned.predictions,
            planned.runtime,
            planned.scores,
