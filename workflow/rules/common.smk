import sys
from pathlib import Path

from lorascope import jobs
from lorascope.errors import UserError
from lorascope.plan import load_plan
from lorascope.records import write_text
from lorascope.study import refuse_repeated_keys

jobs.export_package()

try:
    for file in map(Path, workflow.configfiles):
        refuse_repeated_keys(file)
    PLAN = load_plan(config, ", ".join(map(str, workflow.configfiles)))
except UserError as error:
    # Alone, without the place in this file that an exception would drag along.
    sys.exit(str(error))


wildcard_constraints:
    digest="[0-9a-f]{12}",
    score_digest="[0-9a-f]{12}",
    report_digest="[0-9a-f]{12}",
    id="[^/]+",
    model="[^/]+",
    adapter="[^/]+",
    dataset="[^/]+",
    chunk=r"\d+",
    chunks=r"\d+",
    shard=r"\d+",
    shards=r"\d+",


def unless_done(made, inputs):
    """Return the inputs of the job that makes the files ``made``: none once they exist.

    An existing file is valid, since its path holds the digest of all that determined it. Forced
    jobs (cluster nodes run theirs so) see their inputs all the same.
    """
    settings = workflow.dag_settings
    forced = settings.forceall or settings.forcerun or settings.forcetargets
    done = all(path.exists() for path in made)
    return inputs if forced or settings.force_incomplete or not done else []


def job_file(text):
    """Return the file, named after its content, that tells a stage what to do."""
    path = jobs.job_file(text)
    if not workflow.dryrun and not path.exists():
        write_text(path, text)
    return path


def download_job(wildcards):
    return job_file(jobs.download_job(PLAN, Path(f"results/downloads/{wildcards.download}.json")))


def dataset_job(wildcards):
    return job_file(jobs.dataset_job(PLAN, dataset(wildcards)))


def encode_job(wildcards):
    return job_file(jobs.encode_job(PLAN, features(wildcards)))


def infer_job(wildcards):
    return job_file(jobs.infer_job(PLAN, experiment(wildcards)))


def merge_job(wildcards):
    return job_file(jobs.merge_job(PLAN, experiment(wildcards)))


def score_job(wildcards):
    return job_file(jobs.score_job(PLAN, experiment(wildcards)))


def report_job(wildcards):
    return job_file(jobs.report_job(PLAN))


def finetune_job(wildcards):
    return job_file(jobs.finetune_job(PLAN, adapter(wildcards)))


def gate_job(wildcards):
    return job_file(jobs.gate_job(PLAN))


def dataset(wildcards):
    return PLAN.dataset(wildcards.dataset, wildcards.digest)


def features(wildcards):
    return PLAN.features(wildcards.model, wildcards.dataset, wildcards.digest)


def adapter(wildcards):
    return PLAN.adapter(wildcards.adapter, wildcards.digest)


def experiment(wildcards):
    return PLAN.experiment(wildcards.id, wildcards.digest)


def inputs_of(path):
    made = PLAN.made[path]
    return unless_done(made.outputs, made.inputs)


def dataset_inputs(wildcards):
    return inputs_of(dataset(wildcards).items)


def finetune_inputs(wildcards):
    return inputs_of(adapter(wildcards).files[-1])


def encode_inputs(wildcards):
    return inputs_of(features(wildcards).file(wildcards.chunk, wildcards.chunks))


def infer_inputs(wildcards):
    return inputs_of(experiment(wildcards).shard(wildcards.shard, wildcards.shards))


def merge_inputs(wildcards):
    return inputs_of(experiment(wildcards).predictions)


def score_inputs(wildcards):
    return inputs_of(experiment(wildcards).scores)


def report_inputs(wildcards):
    return inputs_of(PLAN.manifest)


def gate_inputs(wildcards):
    return inputs_of(PLAN.gate)


def finetune_message(wildcards):
    return PLAN.finetune_message(adapter(wildcards))


def encode_message(wildcards):
    return PLAN.encode_message(features(wildcards), wildcards.chunk, wildcards.chunks)


def infer_message(wildcards):
    return PLAN.infer_message(experiment(wildcards), wildcards.shard, wildcards.shards)


def finetune_gpus(wildcards):
    return PLAN.study.adapters[adapter(wildcards).name]["train"]["gpus"]


def encode_gpus(wildcards):
    # The audio encoders fit on one GPU, whatever the language model needs.
    return min(1, PLAN.gpus(wildcards.model))


def infer_gpus(wildcards):
    return PLAN.gpus(experiment(wildcards).experiment.model)
