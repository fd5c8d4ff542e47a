"""The deterministic option scorer: which option a reply chooses, and whether it is the gold one.

As in the published benchmark, choosing none or more than one option is incorrect. In order:

1. The reply is normalised (`text.normalise`); an echo of the prompt, whole or cut, is removed.
2. Asides are removed (`asides`): quoted speech ("the transcription is: ..."), courtesies ("happy
   to help"), refusals, requests and conditions. A reply that declines somewhere names an option
   only where it puts one forward ("not sure, but it sounds sad").
3. Option texts are found, longest match first, with their inflections; then letters outside them,
   which count only in the forms of an answer (`letters.FORMS`), each letter in the same.
4. Denied mentions ("not a cat", "except the cow", "(c) is wrong") are dropped, and who is only
   spoken to or of ("a man talking to a woman") steps back behind who is asked about (`roles`).
5. A self-correction ("wait, no") drops what was said before it.
6. When every option is listed and one is named besides the list, the list is dropped; a list that
   was cut after its first option names none.
7. An explicit answer ("the answer is", "so", "final answer") outranks a letter given with its
   text, that outranks a plain mention, and that outranks background ("because cats meow").
8. What is left is single, multiple, contradictory (letter against text) or none. Only if it is
   none, or background, are looked for, in this order: synonyms ("afraid"), shortened, respelt or
   cut option texts ("Goethe", "a broad smile"), and signs ("laughter", "she"; `cues`). Synonyms
   count from the start where they tell of one of two persons ("she's afraid, he's angry").
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError
from lorascope.scoring.choice.asides import strip_asides
from lorascope.scoring.choice.context import ANSWER, BACKGROUND, PLAIN, Claim, Reply
from lorascope.scoring.choice.cues import are_languages, find_feelings, find_persons, find_stands
from lorascope.scoring.choice.letters import find_letters
from lorascope.scoring.choice.mentions import Mention, find_texts
from lorascope.scoring.choice.parts import find_parts
from lorascope.scoring.choice.text import lower, normalise, strip_echo
from lorascope.scoring.item_score import ItemScore

Status = Literal["single", "none", "multiple", "contradictory"]

_PAIR_GAP = re.compile(
    r"[\s)\]}.:,\"'>=—-]*"
    r"(?:(?:is|which is|i\.e\.,?|namely|meaning|as in|for|an?|the)\b\s*)*[\"'(\[]*"
)
_PAIR_GAP_BACK = re.compile(r"[\s,:\"'-]*[(\[]\s*(?:option|choice|letter|answer)?\s*")
_REVISION = re.compile(
    r"\bwait\b|(?:^|[.,;!?\n\x00—-]|\b(?:or|and|but|no))\s*actually\b|\bon second thoughts?\b"
    r"|\bscratch that\b|\bcorrection\b|\bi mean\b|\bi meant\b|\bi take that back\b|\bmake that\b"
    r"|\blet me (?:correct|rethink|reconsider|revise)\b|\boops\b|\bmy mistake\b|\bsorry\b"
    r"|\bor rather\b|\bno(?=\s*[,.:!—-])"
)
_ALL = re.compile(
    r"(?s)\A(?!.*(?:\bnot\b|n't\b|cannot|\bunable\b)).*(?:"
    r"\ball (?:of )?(?:the )?(?:above|options|choices|them|these|four|three)\b|\ball of them\b"
    r"|\bany (?:one )?of (?:the )?(?:above|options|choices|them|these)\b"
    r"|\bboth (?:of )?(?:the )?(?:above|options|choices|them|these)\b"
    r"|\A\W*(?:both|either|all|either one|any)\W*\Z)"
)
# Asked back after declining to answer, and asked without
_QUESTION = re.compile(r"\A\W*(?:\w+\W+){0,3}?(?:is|are|was|could|would|does|do) [^.!\n]*\?\W*\Z")
_ASKS = re.compile(r"\A\W*(?:which|what|who|do you)\b[^.!?\n]*\?\W*\Z")

# Consulted in order while a reply names no option
_FALLBACKS: tuple[tuple[Callable[[str, tuple[tuple[str, str], ...]], list[Mention]], str], ...] = (
    (find_stands, "synonym"),
    (find_parts, "part of option text"),
    (partial(find_stands, signs=True), "sign"),
)


@dataclass(frozen=True)
class Score:
    """What a reply chose; `choice` is an option letter, None unless `status` is single."""

    status: Status
    choice: str | None
    correct: bool
    reason: str


class _Verdict(NamedTuple):
    status: Status
    choice: str | None
    reason: str
    rank: int  # the highest of the claims that decided


def score(response: str, question: str, options: Sequence[tuple[str, str]], gold: str) -> Score:
    """Score `response` to `question`, whose (letter, text) `options` include the letter `gold`."""
    pairs = tuple((letter, text) for letter, text in options)
    if gold not in dict(pairs):
        raise UserError(f"gold letter {gold!r} is not among the options {dict(pairs)}")
    text = strip_echo(normalise(response), normalise(question))
    named = find_texts(text, pairs)
    said, declined = strip_asides(text, named)
    if said != text:
        named = find_texts(said, pairs)
    status, choice, reason, _ = _judge(said, pairs, named, declined)
    if _ASKS.search(lower(said)) or (declined and _QUESTION.search(lower(said))):
        status, choice, reason = "none", None, "asks back"
    if status == "none" and _ALL.search(lower(said)):
        status, reason = "multiple", "all options"
    return Score(status, choice, choice == gold, reason)


def _judge(
    text: str, options: tuple[tuple[str, str], ...], named: list[Mention], declined: bool
) -> _Verdict:
    """Judge by the options named, then, while that tells little, by the fallbacks."""
    found = _with(named, find_persons(text, options) + find_feelings(text, options))
    verdict = _decide(text, options, found, declined)
    for finder, label in _FALLBACKS:
        if verdict.status != "none" and verdict.rank > BACKGROUND:
            break
        again = _decide(text, options, _with(found, finder(text, options)), declined)
        if again.status != "none" and (verdict.status == "none" or again.rank > verdict.rank):
            verdict = again._replace(reason=label)
    return verdict


def score_item(response: str, item: Item) -> list[ItemScore]:
    """Score a response to an item with options."""
    found = score(response, item.question, item.options, item.gold)
    return [ItemScore("", float(found.correct), found.status, found.choice, found.reason)]


def _with(found: list[Mention], more: list[Mention]) -> list[Mention]:
    """Return both, without those of `more` that overlap one found before."""
    fresh = [m for m in more if all(m.end <= f.start or m.start >= f.end for f in found)]
    return sorted([*found, *fresh], key=lambda m: m.start)


def _mentions(
    text: str, options: tuple[tuple[str, str], ...], texts: list[Mention]
) -> list[Mention]:
    """Return text and letter mentions in order, a letter merged with the text it belongs to."""
    letters = find_letters(text, [letter for letter, _ in options], texts)
    merged: list[Mention] = []
    for mention in sorted([*texts, *letters], key=lambda m: m.start):
        if merged and _belong_together(text, merged[-1], mention):
            last = merged.pop()
            mention = Mention(
                last.start, mention.end, last.letter or mention.letter, last.text or mention.text
            )
        merged.append(mention)
    if merged:
        listed = (
            len(merged) > 1
            and merged[-2].letter == merged[-2].text
            and (len(text[merged[-2].end : merged[-1].start]) <= 3)
        )
        merged[-1] = _completed(text, merged[-1], options, listed)
    return merged


def _completed(
    text: str, last: Mention, options: tuple[tuple[str, str], ...], listed: bool
) -> Mention:
    """Give a letter its text where the reply was cut within it: "(a) Male (b) Fem".

    With `listed` another option stands right before it, and all of the text may be missing.
    """
    rest = lower(re.sub(r"^[\s)\]}.:,\"'-]+", "", text[last.end :]))
    plain = lower(normalise(dict(options)[last.letter])) if last.letter else ""
    if last.letter and not last.text and (rest or listed) and plain.startswith(rest):
        return replace(last, text=last.letter)
    return last


def _belong_together(text: str, first: Mention, second: Mention) -> bool:
    """Whether one is a letter and the other its text, as in "(b) dog" and "dog (b)"."""
    gap = lower(text[first.end : second.start])
    if len(gap) > 40:
        return False
    if first.letter and not first.text and second.text:
        # "not (a), not (b): dog" gives (b) no other text
        disagree = first.letter != second.text
        before = lower(text[: first.start])
        denied = disagree and ":" in gap and re.search(r"\b(?:not|nor|except)\b[^.;:]*$", before)
        return not denied and _PAIR_GAP.fullmatch(gap) is not None
    if first.text and not first.letter and second.letter:
        return _PAIR_GAP_BACK.fullmatch(gap) is not None
    return False


def _decide(
    text: str, options: tuple[tuple[str, str], ...], texts: list[Mention], declined: bool
) -> _Verdict:
    """Weigh the mentions of one reply; where it `declined`, only what it puts forward counts."""
    mentions = _mentions(text, options, texts)
    reply = Reply(text, mentions, are_languages(options))
    claims = reply.claims()
    live = [index for index, claim in enumerate(claims) if not claim.denied]
    live = _after_revision(reply, claims, live)
    if declined:
        live = [index for index in live if claims[index].rank >= ANSWER or reply.ventured(index)]
    if not live:
        return _Verdict("none", None, "no option chosen" if mentions else "no option named", 0)
    if len(live) == 1 and reply.headed(live[0]):
        return _Verdict("none", None, "list of options cut short", 0)
    live = _outside_list(claims, live, len(options))
    live = _committed(reply, claims, live)
    top = max(claims[index].rank for index in live)
    chosen = [index for index in live if claims[index].rank == top]
    if top >= ANSWER:
        chosen = _last_answer(reply, claims, chosen)
    if top > PLAIN:
        chosen += [
            index
            for index in live
            if index > chosen[-1] and claims[index].asserted and claims[index].rank > BACKGROUND
        ]
    return _Verdict(*_verdict([claims[index] for index in chosen]), top)


def _after_revision(reply: Reply, claims: list[Claim], live: list[int]) -> list[int]:
    """Drop the mentions before the last self-correction that is followed by another mention."""
    for cue in reversed(list(_REVISION.finditer(reply.masked))):
        later = [index for index in live if claims[index].mention.start >= cue.end()]
        if later and len(later) < len(live):
            return later
    return live


def _outside_list(claims: list[Claim], live: list[int], count: int) -> list[int]:
    """Drop one listing of all options if an option is named besides it."""
    groups: list[list[int]] = []  # mentions of one option in a row count once
    for index in live:
        if groups and claims[groups[-1][0]].mention.named == claims[index].mention.named:
            groups[-1].append(index)
        else:
            groups.append([index])
    for first in range(len(groups) - count + 1):
        window = groups[first : first + count]
        named = {claims[group[0]].mention.named for group in window}
        if len(named) == count:
            outside = [i for group in groups[:first] + groups[first + count :] for i in group]
            if all(len(group) == 1 for group in window[:-1]):
                outside += window[-1][1:]  # "cow, dog, cat, frog: frog"
            if outside:
                return sorted(outside)
    return live


def _committed(reply: Reply, claims: list[Claim], live: list[int]) -> list[int]:
    """Drop what was only held possible before the reply commits itself."""
    dropped = set()
    for index in live:
        group = set(reply.listed(index))
        later = [i for i in live if i > index and i not in group and claims[i].rank > BACKGROUND]
        if claims[index].rank >= ANSWER:
            continue
        hedged = reply.hedged(index) and any(not reply.hedged(i) for i in later)
        choice_of = reply.offers(index) and bool(later)
        contrast = reply.seeming(index) and any(reply.contrasted(i) for i in later)
        if hedged or choice_of or contrast:
            dropped.add(index)
    return [index for index in live if index not in dropped] or live


def _last_answer(reply: Reply, claims: list[Claim], chosen: list[int]) -> list[int]:
    """Keep the conclusion that ends the reply's explicit answers, if there is one."""
    concluded = [index for index in chosen if claims[index].concluded]
    if concluded and len(concluded) < len(chosen):
        last = reply.listed(concluded[-1])
        if concluded[-1] == chosen[-1] or chosen[-1] in last:
            return [index for index in chosen if index >= concluded[-1]]
        return [index for index in chosen if not claims[index].concluded]
    return chosen


def _verdict(claims: list[Claim]) -> tuple[Status, str | None, str]:
    named = frozenset().union(*(claim.mention.named for claim in claims))
    letters = {claim.mention.letter for claim in claims} - {None}
    texts = {claim.mention.text for claim in claims} - {None}
    if any(len(claim.mention.named) > 1 for claim in claims) or (
        len(letters) == len(texts) == 1 and letters != texts
    ):
        return "contradictory", None, "letter and text disagree"
    if len(named) > 1:
        return "multiple", None, "several options"
    if claims[-1].rank >= ANSWER:
        reason = "final answer"
    elif letters:
        reason = "letter and text" if texts else "letter pattern"
    else:
        reason = "option text"
    return "single", next(iter(named)), reason
