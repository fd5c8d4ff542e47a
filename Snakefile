"""lorascope: what a LoRA adapter does to a model. The workflow is in workflow/Snakefile."""


include: "workflow/Snakefile"


# A default target of an included file does not count.
rule default:
    default_target: True
    input:
        rules.all.input,
    message:
        "the study is made"
