"""Run in a copy of the repository: print what its plan says is left to do, as JSON.

With ``touch`` it first creates every file that a run would leave; an existing file is valid.
"""

import json
import sys
from pathlib import Path

import yaml

from lorascope.planning.plan import Plan, load_plan


def touch(plan: Plan) -> None:
    for path, job in plan.jobs.items():
        if job.stage.name != "infer":  # shards are temporary
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for planned in plan.experiments.values():
        path = planned.folder / "fingerprint.json"
        path.write_text(json.dumps(planned.fingerprint), encoding="utf-8")


def main(what: str, file: str) -> None:
    plan = load_plan(yaml.safe_load(Path(file).read_text(encoding="utf-8")), file)
    if what == "touch":
        touch(plan)
    left = [[job.stage.name, [str(path) for path in job.outputs.values()]] for job in plan.left()]
    print(
        json.dumps(
            {
                "left": left,
                "heavy": sorted({"torch", "transformers", "peft", "scipy"} & set(sys.modules)),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
