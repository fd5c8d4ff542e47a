import sys
from functools import cache
from pathlib import Path

from lorascope.errors import UserError
from lorascope.inspecting.command_line import named
from lorascope.planning.absent import absent_lines, refuse_absent
from lorascope.inspecting.snakemake_report import (
    PAGE,
    page_folder,
    page_is_shown,
    refuse_unmade_report,
    shown_as,
)
from lorascope.planning.asked import Run
from lorascope.planning.environment import export_package
from lorascope.planning.plan import STAGES, load_plan
from lorascope.planning.told import job_file
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


def at_once(job):
    """Return how many jobs that ask for as many GPUs as this one may run at the same time."""
    most = workflow.cores if workflow.local_exec else workflow.nodes
    total = workflow.global_resources.get("gpu")
    if job.gpus and total and total.value is not None:  # a rule's resource has no limit by itself
        most = min(most, total.value // job.gpus)
    return max(most, 1)


onstart:
    # Only now it is known which jobs will run. A dry-run does not get here.
    try:
        outputs = {Path(path) for job in workflow.dag.needrun_jobs() for path in job.output}
        jobs = [job for path, job in PLAN.jobs.items() if path == job.out and path in outputs]
        refuse_absent(PLAN.context, jobs)
        if workflow.is_main_process and (why := Run.announce(jobs, at_once)):
            print(why, file=sys.stderr)
    except UserError as error:
        sys.exit(str(error))


onsuccess:
    Run.end()


wildcard_constraints:
    digest="[0-9a-f]{12}",
    score_digest="[0-9a-f]{12}",
    verdict_digest="[0-9a-f]{12}",
    report_digest="[0-9a-f]{12}",
    tracker="[a-z]+",
    study=r"[^/]+(/limit-\d+)?",
    id="[^/]+",
    model="[^/]+",
    adapter="[^/]+",
    dataset="[^/]+",
    chunk=r"\d+",
    chunks=r"\d+",
    shard=r"\d+",
    rung=r"\d+",
    shards=r"\d+",


def lines_after_failure(plan, log):
    """Yield what was stopped, and where the report of what is done lies, if anything is."""
    # Most runs do not fail, and each would wait for these imports.
    from lorascope.inspecting.partial import NothingToReport, report_lines
    from lorascope.inspecting.status import stopped_lines

    yield from stopped_lines(NAMED, log)
    try:
        yield from report_lines(plan, retry=False)
    except NothingToReport:
        return  # the run has said why
    except UserError as error:
        yield str(error)


# Snakemake calls no handler of a module: there it refuses a file that is not there by itself.
IS_MODULE = not workflow.modifier.is_main_snakefile()
# Snakemake finds the captions of outputs beside the rule, not those of inputs.
PAGE_CAPTION = workflow.current_basedir.join(PAGE.caption)


def runs():
    """Return whether jobs are about to be run, or to be listed by a dry-run.

    What else Snakemake does with the workflow (--report, --dag, --rulegraph, --summary) looks at it;
    so does the report that --report-after-run makes when the jobs are done. A run that has begun
    asks again where a decision of a search has changed what is to be done.
    """
    if workflow.executor_plugin is None or workflow.scheduler is None:
        return workflow.executor_plugin is not None
    return bool(PLAN.study.search) and any(True for _ in workflow.dag.needrun_jobs())


def is_forced():
    """Return whether jobs run, or may run, although their files are there."""
    settings = workflow.dag_settings
    forced = settings.forceall or settings.forcerun or settings.forcetargets
    return forced or settings.force_incomplete


@cache
def is_done(job):
    """Return whether a job's files were there when it was first asked for."""
    return job.is_done


def is_passed_over(job):
    """Return whether a run needs to know nothing of a job, since its files are there.

    Triggers of Snakemake's own compare all of a job with what it was.
    """
    triggers = {trigger.name for trigger in workflow.rerun_triggers}
    return runs() and triggers <= {"MTIME"} and not is_forced() and is_done(job)


def wanted(wildcards):
    """Return the files of a study; a run is told of those that are missing, or of one.

    Those that are there are valid, so a run that is done need not look at thousands. A batch is a
    part of all of them.
    """
    targets = PLAN.targets()
    if workflow.dag_settings.batch:
        return targets
    return [path for path in targets if not is_passed_over(PLAN.jobs[path])] or targets[-1:]


@cache
def left():
    """Return the files that name the jobs which are left; asked once, by what looks."""
    return {job.out for job in PLAN.left()}


def inputs(stage):
    """Return the input function of a stage's rule: nothing for a job that is done.

    An existing file is valid, since its path holds the digest of all that determined it. Forced
    jobs (cluster nodes run theirs so) see their inputs all the same. What looks sees the whole way
    of what is done, and no times in it, so that it shows the very jobs as left that would run.
    """

    def needed(wildcards):
        job, forced = PLAN.find(stage, wildcards), is_forced()
        if not (runs() or forced):
            refuse_unmade_report(sys.argv, PLAN, stage)
            if job.out not in left():
                return [ancient(str(path)) for path in PLAN.shown_inputs(job, left())]
        if runs() and is_done(job) and not forced:
            return []
        if stage == "report" and PLAN.study.search and workflow.is_main_process:
            Run.follow(PLAN.left(job.inputs), at_once)
        absent = PLAN.context.absent
        lacking = [str(absent[name].part) for name in job.reads if name in absent]
        return [*job.inputs, *(lacking if IS_MODULE and runs() and not workflow.dryrun else [])]

    return needed


def reported(stage):
    """Return the outputs of a stage that a study has once, those marked that --report shows."""
    marked = {}
    for name, path in PLAN.find(stage, {}).outputs.items():
        show = shown_as(path)
        marked[name] = report(path, **show.flags(PLAN.report.study)) if show else path
    return marked


def item_page(wildcards):
    """Return the folder of the item page, marked, where --report can hold it; else nothing."""
    if runs() or not page_is_shown(sys.argv, PLAN):
        return []
    flags = PAGE.flags(PLAN.report.study) | {"caption": PAGE_CAPTION}
    return report(str(page_folder(PLAN)), htmlindex="index.html", **flags)


def told(stage):
    """Return a function to the file that tells a job of a stage what to do.

    Snakemake asks for every job's, as environments might depend on it.
    """

    def written(wildcards):
        job = PLAN.find(stage, wildcards)
        if is_passed_over(job):
            return ""
        text = job.told().json
        path = job_file(text)
        if runs() and not workflow.dryrun and not path.exists():
            write_text(path, text)
        return path

    return written


def message(stage):
    """Return a function to what a job of a stage is, in words."""

    def said(wildcards):
        job = PLAN.find(stage, wildcards)
        return "" if is_passed_over(job) else job.message()

    return said


def gpus(stage):
    """Return a function to the number of GPUs that a job of a stage asks for."""
    return lambda wildcards: PLAN.find(stage, wildcards).gpus
