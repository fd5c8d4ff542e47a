"""Draw the diagrams of architecture.md from the code: ``make docs`` runs this.

The rooms come from the imports of the package, the data's way from the plans of the studies in
the repository.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp

from lorascope.planning.plan import STAGES, load_plan
from lorascope.study.parsing import read_study

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
ROOMS = {
    "__main__": "the command line",
    "inspecting": "plan, status, items, export, prune",
    "stages": "one command a rule",
    "inferring": "shards answered with a model loaded once",
    "planning": "one module a stage: paths, fingerprints, jobs",
    "reporting": "tables, charts, statistics, retention",
    "exchange": "formats of other tools, read and written",
    "judging": "calls of a judge: servers, models, cache",
    "models": "families, LoRA, decoding, fine-tuning",
    "scoring": "scorers",
    "benchmarks": "files to items; audio",
    "study": "typed settings, declarations, registry",
    "identity": "digests, code, sources",
    "running": "GPU leases, memory, progress",
    "storage": "tables, features, journal, locks, hub",
    "errors": "the one exception that users see",
}
Arrows = set[tuple[str, str]]


def rooms() -> str:
    """Return the rooms of the package and who imports whom, as a Mermaid flowchart."""
    graph = grimp.build_graph("lorascope", cache_dir=None)
    found = {(_room(a), _room(b)) for a in graph.modules for b in _imports(graph, a)}
    arrows = _reduced({(a, b) for a, b in found if a and b and a != b})
    names = {room: f"{room.strip('_')}<br/><small>{what}</small>" for room, what in ROOMS.items()}
    return _flowchart(names, arrows)


def way() -> str:
    """Return the stages and whose files each reads, as a Mermaid flowchart."""
    arrows: Arrows = set()
    for file in [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]:
        study = read_study(file)
        asked = study.get("retain", [])
        # So that these stages are planned, too: the studies go on whatever is retained, untracked.
        gates = [
            gate | {"stop_on": "fail"} for gate in (asked if isinstance(asked, list) else [asked])
        ]
        # And predictions made elsewhere, which no study in the repository has.
        first = study["experiments"][0]
        elsewhere = {key: first[key] for key in ("dataset", "mode", "scorer") if key in first}
        elsewhere |= {"id": "elsewhere", "table": False}
        elsewhere["predictions"] = {"source": "there", "format": "jsonl"}
        experiments = [*study["experiments"], elsewhere]
        more = {"retain": gates, "experiments": experiments, "tracking": ["tensorboard"]}
        plan = load_plan(study | more, str(file))
        for job in set(plan.jobs.values()):
            arrows |= {(plan.jobs[path].stage.name, job.stage.name) for path in job.inputs}
    names = {
        stage.name: f"{stage.name}<br/><small>{_shown(next(iter(stage.outputs.values())))}</small>"
        for stage in STAGES.values()
    }
    return _flowchart(names, arrows)


def _imports(graph: grimp.ImportGraph, module: str) -> Iterable[str]:
    return graph.find_modules_directly_imported_by(module)


def _room(module: str) -> str:
    """Return the room of a module, "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def _reduced(arrows: Arrows) -> Arrows:
    """Return the arrows that no chain of others implies."""
    following: dict[str, set[str]] = {}
    for start, end in arrows:
        following.setdefault(start, set()).add(end)

    def reached(start: str) -> set[str]:
        ends = following.get(start, set())
        return ends.union(*map(reached, ends))

    return {
        (start, end)
        for start, end in arrows
        if not any(end in reached(other) for other in following[start] - {end})
    }


def _shown(path: str) -> str:
    """Return a pattern of paths as an HTML label shows it: <digest> for {digest}."""
    return re.sub(r"{(\w+)}", r"&lt;\1&gt;", path.removeprefix("results/"))


def _flowchart(names: Mapping[str, str], arrows: Arrows) -> str:
    order = list(names)
    if unknown := {name for arrow in arrows for name in arrow} - {*order}:
        raise KeyError(f"no words for {unknown}")
    lines = [f'    {name.strip("_")}["{label}"]' for name, label in names.items()]
    for start, end in sorted(arrows, key=lambda arrow: tuple(map(order.index, arrow))):
        lines.append(f"    {start.strip('_')} --> {end.strip('_')}")
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def page() -> str:
    """Return architecture.md with its diagrams drawn anew."""
    text = PAGE.read_text(encoding="utf-8")
    for name, diagram in (("rooms", rooms()), ("way", way())):
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        between = re.compile(f"(?<={begin}).*?(?={end})", flags=re.DOTALL)
        text = between.sub(lambda _, drawn=diagram: drawn, text, count=1)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
