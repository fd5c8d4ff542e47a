"""The study file that is begun with: what was found and guessed, with words beside it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lorascope.inspecting.new.answers import LONG
from lorascope.inspecting.new.guess import Guess
from lorascope.inspecting.new.model import Adapter, Model
from lorascope.study.registry import FAMILIES, SCORERS, default_scorer

HARMLESS = "writes a study that a user reads before it runs"

PAGE = "docs/your-own-task.md"


@dataclass(frozen=True)
class Draft:
    """All that a new study is made of."""

    name: str
    file: Path
    data: Path
    model: Model
    adapter: Adapter | None
    guess: Guess
    rows: int

    @property
    def found(self) -> Iterator[str]:
        """What was found and guessed, in words."""
        model, adapter = self.model, self.adapter
        yield from _said(f"model {model.place.short}", model.keys, model.said)
        for note in adapter.notes if adapter else ():
            yield f"adapter {adapter.place.short if adapter else ''}: {note}"
        yield from _said(self.data.name, self.guess.keys, self.guess.said)

    @property
    def text(self) -> str:
        """The study as a file."""
        parts = (_head, _models, _adapters, _datasets, _experiments, _baseline)
        return "\n".join("\n".join(part(self)) + "\n" for part in parts)


def _head(draft: Draft) -> Iterator[str]:
    yield f"# A study to begin with, made by `lorascope new`. {PAGE} shows what else"
    yield "# it may say, docs/study.md lists every key. Look before you run it, run it, and read:"
    yield f"#   python -m lorascope plan --configfile {draft.file}"
    yield f"#   snakemake --configfile {draft.file}"
    yield f"#   results/reports/{draft.name}/accuracy.md"
    yield f"study: {draft.name}"
    does = f"What does {draft.adapter.place.short} do to" if draft.adapter else "How does"
    ends = f"on {draft.data.name}?" if draft.adapter else f"answer {draft.data.name}?"
    yield f"description: {written(f'{does} {draft.model.place.short} {ends}')}"


def _models(draft: Draft) -> Iterator[str]:
    yield "models:"
    yield f"  {draft.model.place.short}:"
    yield from _keys(draft.model.keys, draft.model.said)


def _adapters(draft: Draft) -> Iterator[str]:
    model = draft.model.place.short
    if draft.adapter is None:
        yield "# The model alone is asked. For an adapter (its folder as peft writes it)"
        yield "# write these lines, and in the experiment below adapter: mine, an id that ends in"
        yield "# -{lora_scaling}, and grid: {lora_scaling: [0, 1, 2]}; 0 is the baseline then."
        yield "# adapters:"
        yield f"#   mine: {{model: {model}, source: path/to/the/folder}}"
        return
    yield "adapters:"
    yield f"  {draft.adapter.place.short}:"
    yield f"    model: {model}"
    yield f"    source: {written(draft.adapter.place.source)}"
    yield from (f"    # {_line(note)}" for note in draft.adapter.notes)


def _datasets(draft: Draft) -> Iterator[str]:
    yield "datasets:"
    yield f"  {short(draft.data.stem)}:"
    yield "    benchmark: table"
    yield f"    source: {written(str(draft.data))}"
    yield from _keys(draft.guess.keys, draft.guess.said)
    if "category" not in draft.guess.keys:
        yield f"    category: {short(draft.data.stem)}   # a name in the table"


def _experiments(draft: Draft) -> Iterator[str]:
    yield "experiments:"
    yield f"  - id: {_identifier(draft, '{lora_scaling}')}"
    yield f"    model: {draft.model.place.short}"
    if draft.adapter:
        yield f"    adapter: {draft.adapter.place.short}"
    yield f"    dataset: {short(draft.data.stem)}"
    yield from (f"    {line}" for line in _answering(draft))
    if draft.adapter:
        scalings = ", ".join(map(written, draft.adapter.scalings))
        yield f"    grid: {{lora_scaling: [{scalings}]}}   # 0 is the model alone"


def _answering(draft: Draft) -> Iterator[str]:
    """Yield how the questions are answered and judged."""
    kind = draft.guess.kind
    if kind == "nothing":
        yield "# The likelihood of each text is asked (mode: loss), as perplexity: lower is better."
        return
    if kind == "options":
        usual = default_scorer("options", "generate")
        yield f"# The reply is read for the option that it names (scorer: {usual})."
        if "choose" in FAMILIES[draft.model.family].modes:
            yield "# mode: choose   # instead, the option of the highest likelihood is the reply"
    suited = ((name, SCORERS[name].suits) for name in SCORERS)
    for name, words in ((name, suits[1]) for name, suits in suited if suits and suits[0] == kind):
        yield f"scorer: {name}   # {words}"
    yield f"generation: {written(_generation(draft))}"


def _generation(draft: Draft) -> dict[str, Any]:
    """Return settings of generation: room for an answer, or for the way to a number."""
    guess, chat = draft.guess, bool(draft.model.keys.get("chat_template"))
    thinks = guess.kind == "numbers" and (chat or guess.words > LONG)
    room = {"max_new_tokens": 256 if thinks else min(max(16, 4 * guess.words + 8), 256)}
    # A model that is asked in no turns goes on with a question of its own.
    runs_on = FAMILIES[draft.model.family].takes == "text" and not chat and guess.words <= LONG
    return room | ({"stop": ["\n"]} if runs_on else {})


def _baseline(draft: Draft) -> Iterator[str]:
    yield f"baseline: {_identifier(draft, '0')}"


def _identifier(draft: Draft, scaling: str) -> str:
    return f"{draft.name}-{scaling}" if draft.adapter else draft.name


def short(name: str) -> str:
    """Return a name that a study can have, made of another one."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-") or "mine"


def _said(what: str, keys: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    for key, words in said.items():
        value = written(keys[key])
        named = f"`{keys[key]}`" in words or isinstance(keys[key], list)
        if words:
            yield f"{what}: {key}: {words if named else f'{value} ({words})'}"


def _keys(keys: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    for key, value in keys.items():
        words = said.get(key)
        yield f"    {key}: {written(value)}" + (f"   # {_line(words)}" if words else "")


def _line(words: str) -> str:
    """Return words as a comment: columns may have names of several lines."""
    return " ".join(words.split())


def written(value: Any) -> str:
    """Return a value as YAML writes it on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, float):
        return f"{value:.12g}"
    if not isinstance(value, str):
        return json.dumps(value)
    plain = re.fullmatch(r"[\w./][\w./ -]*(?<! )", value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)
