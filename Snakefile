"""lorascope: what a LoRA adapter does to a model. See README.md."""

import sys

from snakemake.utils import min_version

min_version("9.27")

sys.path.insert(0, f"{workflow.basedir}/workflow")


# A study given with --configfile stands alone: nothing of the default study leaks into it.
if not workflow.configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        PLAN.targets(),
    message:
        f"study {PLAN.study.name}: everything is made"


include: "workflow/rules/data.smk"
include: "workflow/rules/adapter.smk"
include: "workflow/rules/infer.smk"
include: "workflow/rules/report.smk"
