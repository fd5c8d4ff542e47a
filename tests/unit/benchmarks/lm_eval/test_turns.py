"""Asked in turns, items are the dialogues that the harness hands to a model's chat template."""

from pathlib import Path

import pytest

from lorascope.benchmarks.lm_eval import looking
from lorascope.benchmarks.lm_eval.items import build_items, letter
from lorascope.errors import UserError
from tests.support.lm_eval_tasks import (
    environment,
    in_this_process,
    looked,
    settings,
    write_task,
)

__all__ = ["environment"]


def template(messages, add_generation_prompt):
    assert add_generation_prompt
    return "".join(f"<{message['role']}>{message['content']}" for message in messages)


def rendered(item, question):
    """Return an item's dialogue in the template."""
    pairs = [(role, text) for turn in item.turns for role, text in zip(ROLES, turn, strict=True)]
    system = [("system", item.system)] if item.system else []
    return "".join(f"<{role}>{text}" for role, text in [*system, *pairs, ("user", question)])


ROLES = ("user", "assistant")
DESCRIBED = {"description": "Questions.", "num_fewshot": 2}


@pytest.mark.parametrize("multiturn", [True, False])
@pytest.mark.parametrize("task", ["arc_easy", "winogrande", "gsm8k"])
def test_turns_are_the_harness_s(tmp_path, monkeypatch, task, multiturn):
    from lorascope.benchmarks.lm_eval.harness import DataTask
    from lorascope.benchmarks.lm_eval.tasks import tasks_of

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(looking, "_ask", in_this_process)
    write_task(tmp_path, task, **DESCRIBED)
    given = looked(
        settings(
            task=f"tasks/tiny_{task}.yaml",
            apply_chat_template=True,
            fewshot_as_multiturn=multiturn,
            items=3,
        )
    )
    items, _ = build_items(Path(), given, None)
    own = DataTask(tasks_of(given)[0], Path(), [], tmp_path / "cache")
    own.set_fewshot_seed(1234)
    keys = {"apply_chat_template": True, "chat_template": template}
    own.build_all_requests(limit=3, fewshot_as_multiturn=multiturn, **keys)
    wanted = {}
    for request in own.instances:
        wanted.setdefault(request.doc_id, []).append(request.args)
    assert len(items) == len(wanted) == 3
    for number, item in enumerate(items):
        assert item.system == "Questions."
        assert len(item.turns) == (2 if multiturn else 0)
        count = len(wanted[number])
        questions = item.contexts or (item.question,) * count
        assert [rendered(item, q) for q in questions] == [args[0] for args in wanted[number]]
        if item.mode == "choose":
            assert item.continuations == tuple(args[1] for args in wanted[number])


def test_a_prefix_of_the_reply_has_no_place_in_turns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(looking, "_ask", in_this_process)
    write_task(tmp_path, "gsm8k", gen_prefix="Well,")
    with pytest.raises(UserError, match="with apply_chat_template, gen_prefix and acc_mutual"):
        looking.look(settings(task="tasks/tiny_gsm8k.yaml", apply_chat_template=True))


def test_there_are_names_for_any_number_of_options():
    assert [letter(i) for i in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        *("a", "z", "aa", "ab", "az", "ba", "zz", "aaa")
    ]
