"""Run in a copy of the repository: print what its plan says is left to do, as JSON.

With ``touch`` it first creates every file that a run would leave; an existing file is valid.
"""

import json
import sys
from pathlib import Path

import yaml

from lorascope.plan import Plan, load_plan
from lorascope.todo import jobs_left


def touch(plan: Plan) -> None:
    for path, made in plan.made.items():
        if made.rule != "infer":  # shards are temporary
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for planned in plan.experiments.values():
        (planned.folder / "recipe.json").write_text(json.dumps(planned.recipe), encoding="utf-8")


def main(what: str, file: str) -> None:
    plan = load_plan(yaml.safe_load(Path(file).read_text(encoding="utf-8")), file)
    if what == "touch":
        touch(plan)
    left = jobs_left(plan, plan.targets())
    print(
        json.dumps(
            {
                "left": [[job.rule, [str(path) for path in job.outputs]] for job in left],
                "heavy": sorted({"torch", "transformers", "peft", "scipy"} & set(sys.modules)),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
