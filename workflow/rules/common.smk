import sys
from pathlib import Path

from lorascope.errors import UserError
from lorascope.inspecting.partial import NothingToReport, report_lines
from lorascope.planning.absent import absent_lines, refuse_absent
from lorascope.inspecting.status import stopped_lines
from lorascope.planning.environment import export_package
from lorascope.planning.plan import STAGES, load_plan
from lorascope.planning.stage import job_file
from lorascope.storage.records import write_text
from lorascope.study.parsing import read_study

export_package()

# The rules' environments lie there, and Snakemake fills in their paths as it does wildcards.
if {"{", "}"} & {*str(workflow.current_basedir)}:
    sys.exit(f"{workflow.current_basedir}: braces stand for wildcards; move lorascope elsewhere")

# Named by every message about the study.
NAMED = [*map(str, workflow.configfiles)] or ["the study"]
FILES = ", ".join(NAMED)

try:
    for file in map(Path, workflow.configfiles):
        read_study(file)
    PLAN = load_plan(config, FILES)
except UserError as error:
    # Alone, without the place in this file that an exception would drag along.
    sys.exit(str(error))

# Jobs that Snakemake hands to other processes read this file, too.
if workflow.is_main_process and PLAN.context.absent:
    for line in absent_lines(PLAN.context, PLAN.left()):
        print(line, file=sys.stderr)


onstart:
    # Only now it is known which jobs will run. A dry-run does not get here.
    try:
        outputs = [Path(path) for job in workflow.dag.needrun_jobs() for path in job.output]
        refuse_absent(PLAN.context, [PLAN.jobs[path] for path in outputs if path in PLAN.jobs])
    except UserError as error:
        sys.exit(str(error))


wildcard_constraints:
    digest="[0-9a-f]{12}",
    score_digest="[0-9a-f]{12}",
    report_digest="[0-9a-f]{12}",
    study=r"[^/]+(/limit-\d+)?",
    id="[^/]+",
    model="[^/]+",
    adapter="[^/]+",
    dataset="[^/]+",
    chunk=r"\d+",
    chunks=r"\d+",
    shard=r"\d+",
    shards=r"\d+",


def report_after_failure(plan):
    """Yield where the report of what is done lies, if anything is."""
    try:
        yield from report_lines(plan)
    except NothingToReport:
        return  # the run has said why
    except UserError as error:
        yield str(error)


# Snakemake calls no handler of a module: there it refuses a file that is not there by itself.
IS_MODULE = not workflow.modifier.is_main_snakefile()


def inputs(stage):
    """Return the input function of a stage's rule: nothing for a job that is done.

    An existing file is valid, since its path holds the digest of all that determined it. Forced
    jobs (cluster nodes run theirs so) see their inputs all the same.
    """

    def needed(wildcards):
        settings = workflow.dag_settings
        forced = settings.forceall or settings.forcerun or settings.forcetargets
        job = PLAN.find(stage, wildcards)
        if job.is_done and not (forced or settings.force_incomplete):
            return []
        absent = PLAN.context.absent
        lacking = [str(absent[name].part) for name in job.reads if name in absent]
        return [*job.inputs, *(lacking if IS_MODULE and not workflow.dryrun else [])]

    return needed


def told(stage):
    """Return a function to the file that tells a job of a stage what to do."""

    def written(wildcards):
        text = PLAN.find(stage, wildcards).told().json
        path = job_file(text)
        if not workflow.dryrun and not path.exists():
            write_text(path, text)
        return path

    return written


def message(stage):
    """Return a function to what a job of a stage is, in words."""
    return lambda wildcards: PLAN.find(stage, wildcards).message()


def gpus(stage):
    """Return a function to the number of GPUs that a job of a stage asks for."""
    return lambda wildcards: PLAN.find(stage, wildcards).gpus
