import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lorascope.errors import UserError
from lorascope.plan import REPORT_FILES, load_plan

# Jobs find the package wherever they run: in .venv, in a conda environment, on a cluster node.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [f"{workflow.basedir}/workflow", os.environ.get("PYTHONPATH")])
)

try:
    PLAN = load_plan(config, ", ".join(map(str, workflow.configfiles)))
except UserError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    digest="[0-9a-f]{12}",
    score_digest="[0-9a-f]{12}",
    report_digest="[0-9a-f]{12}",
    id="[^/]+",
    model="[^/]+",
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


def download_job(wildcards):
    return PLAN.downloads[Path(f"results/downloads/{wildcards.download}.json")]


def dataset(wildcards):
    return PLAN.dataset(wildcards.dataset, wildcards.digest)


def features(wildcards):
    return PLAN.features(wildcards.model, wildcards.dataset, wildcards.digest)


def experiment(wildcards):
    return PLAN.experiment(wildcards.id, wildcards.digest)


def dataset_inputs(wildcards):
    planned = dataset(wildcards)
    return unless_done([planned.items], PLAN.dataset_inputs(planned))


def encode_inputs(wildcards):
    planned = features(wildcards)
    chunk = planned.file(wildcards.chunk, wildcards.chunks)
    return unless_done([chunk], PLAN.encode_inputs(planned))


def infer_inputs(wildcards):
    planned = experiment(wildcards)
    shard = planned.shard(wildcards.shard, wildcards.shards)
    return unless_done([shard], PLAN.infer_inputs(planned))


def merge_inputs(wildcards):
    planned = experiment(wildcards)
    made = [planned.predictions, planned.runtime]
    return unless_done(made, PLAN.merge_inputs(planned))


def score_inputs(wildcards):
    planned = experiment(wildcards)
    needed = [planned.features.dataset.items, planned.predictions]
    return unless_done([planned.scores], needed)


def report_inputs(wildcards):
    return unless_done(PLAN.report_files, PLAN.report_inputs())


def encode_message(wildcards):
    return PLAN.encode_message(features(wildcards), wildcards.chunk, wildcards.chunks)


def infer_message(wildcards):
    return PLAN.infer_message(experiment(wildcards), wildcards.shard, wildcards.shards)


def gpus(wildcards):
    model = wildcards.get("model") or experiment(wildcards).experiment.model
    return PLAN.gpus(model)
