"""What a reply says about each mention: denied, asserted as the answer, or only background."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lorascope.scoring.choice import roles
from lorascope.scoring.choice.mentions import Mention
from lorascope.scoring.choice.patterns import (
    ANSWER_AFTER,
    ANSWER_CUE,
    ASSERTION,
    CLAUSE_STARTS,
    COMPARING,
    CONCLUSION_CUE,
    CONJUNCTION,
    CONTRAST,
    DENIALS,
    DENIED_AFTER,
    EXCLUSIONS,
    EXPLAINING,
    FINAL_CUE,
    GENERAL_AFTER,
    HEADING,
    HEDGE,
    HEDGED_AFTER,
    LIST_GAP,
    LISTING,
    PLURAL_VERB,
    PSEUDO_DENIAL,
    SCOPE_ENDS,
    SEEMING,
    SENTENCE_ENDS,
    VENTURE,
    VENTURED_AFTER,
)
from lorascope.scoring.choice.text import lower

# Ranks of an affirmed mention; the mentions of the highest rank decide
BACKGROUND, PLAIN, PAIR, ANSWER, FINAL = range(5)

_MASK = "\x00"  # stands for the characters of a mention, whose own words carry no context


@dataclass(frozen=True, slots=True)
class Claim:
    """A mention with its standing in the reply."""

    mention: Mention
    denied: bool
    rank: int
    asserted: bool  # "it is a dog", "I hear a dog"
    concluded: bool  # "so the dog"


class Reply:
    """A normalised reply with its mentions in order, read for what it says about each."""

    def __init__(self, text: str, mentions: Sequence[Mention], languages: bool = False) -> None:
        """Read `text`; with `languages` the options are languages, which are also nationalities."""
        self.text = text
        self.languages = languages
        self.mentions = list(mentions)
        masked = list(lower(text))
        for m in self.mentions:
            masked[m.start : m.end] = _MASK * (m.end - m.start)
        self.masked = PSEUDO_DENIAL.sub(lambda match: " " * len(match[0]), "".join(masked))
        self._stops = [match.end() for match in SENTENCE_ENDS.finditer(self.masked)]
        self._lists: dict[tuple[int, bool], list[int]] = {}

    @cached_property
    def _listings(self) -> set[int]:
        """Mentions in a list of candidates: "among the cow, the dog and the cat"."""
        firsts = [i for i in range(len(self.mentions)) if LISTING.search(self._lead(i))]
        return {index for first in firsts for index in self.listed(first)}

    @cached_property
    def _alternatives(self) -> set[int]:
        """Mentions in a list joined by "or"."""
        found: set[int] = set()
        for first in range(len(self.mentions)):
            group = self.listed(first, keep_bare=False)
            if any(re.search(r"\bor\b", self._gap(i)) for i in group[:-1]):
                found.update(group)
        return found

    def claims(self) -> list[Claim]:
        """Return one claim per mention."""
        denied = self._denied()
        pairs = [(index, self._rank(index, denied)) for index in range(len(self.mentions))]
        claims = []
        for index, rank in pairs:
            lead = self._lead(index)
            claims.append(
                Claim(
                    self.mentions[index],
                    index in denied,
                    rank,
                    bool(ASSERTION.search(lead)),
                    bool(CONCLUSION_CUE.search(lead)),
                )
            )
        return claims

    def _gap(self, index: int) -> str:
        """The characters between mention `index` and the next."""
        return self.masked[self.mentions[index].end : self.mentions[index + 1].start]

    def _sentence_start(self, position: int) -> int:
        index = bisect_right(self._stops, position)
        return self._stops[index - 1] if index else 0

    def _lead(self, index: int) -> str:
        """The characters of the sentence between the mention before and mention `index`."""
        start = self._sentence_start(self.mentions[index].start)
        if index:
            start = max(start, self.mentions[index - 1].end)
        return self.masked[start : self.mentions[index].start]

    def listed(self, first: int, keep_bare: bool = True) -> list[int]:
        """The list that mention `first` begins: "a cow, a dog and a frog, ..." ends at the frog.

        A list without "and" or "or" is the whole run of commas, or with `keep_bare` false `first`.
        """
        if (first, keep_bare) in self._lists:
            return self._lists[first, keep_bare]
        last = first
        for index in range(first, len(self.mentions) - 1):
            gap = self._gap(index)
            if len(gap) > 40 or not LIST_GAP.fullmatch(gap):
                break
            last = index + 1
        joined = [i + 1 for i in range(first, last) if CONJUNCTION.search(self._gap(i))]
        if joined:
            last = joined[-1]
        elif not keep_bare:
            last = first
        self._lists[first, keep_bare] = list(range(first, last + 1))
        return self._lists[first, keep_bare]

    def _denied(self) -> set[int]:
        denied: set[int] = set()
        consumed: set[int] = set()  # where denials that reach a mention begin
        for pattern, keep_bare in ((DENIALS, False), (EXCLUSIONS, True)):
            for match in pattern.finditer(self.masked):
                first = next(
                    (i for i, m in enumerate(self.mentions) if m.start >= match.end()), None
                )
                if first is None:
                    continue
                between = self.masked[match.end() : self.mentions[first].start]
                if not SCOPE_ENDS.search(between):
                    denied.update(self.listed(first, keep_bare))
                    consumed.add(match.start())
        for index, mention in enumerate(self.mentions):
            if self._is_addressed(index):
                denied.add(index)
            after = DENIED_AFTER.match(self.masked, mention.end)
            if not after or _MASK in after[0]:
                continue
            if any(after.start() <= start < after.end() for start in consumed):
                continue
            denied.add(index)
            if PLURAL_VERB.search(after[0]):
                denied.update(i for i in range(index) if index in self.listed(i, keep_bare=False))
        return denied

    def _rank(self, index: int, denied: set[int]) -> int:
        mention = self.mentions[index]
        lead = self._lead(index)
        cue = self._cue(index, denied)
        if cue > PLAIN:
            return cue
        if self._affirmed_after(index):
            return ANSWER
        if self._is_background(index, lead):
            return BACKGROUND
        if self._is_spoken(index):
            return PAIR
        return PAIR if mention.letter and mention.letter == mention.text else PLAIN

    def _affirmed_after(self, index: int) -> bool:
        """Whether "... is correct" follows, or "... are correct" follows the mention's list."""
        for last in self.listed(index, keep_bare=False):
            after = ANSWER_AFTER.match(self.masked, self.mentions[last].end)
            if after and (last == index or re.search(r"\b(?:are|were)\b", after[0])):
                return True
        return False

    def _cue(self, index: int, denied: set[int]) -> int:
        """Rank by the words that lead up to the mention, through denied ones and its own list."""
        first = index
        sentence = self._sentence_start(self.mentions[index].start)
        while first and self.mentions[first - 1].start >= sentence:
            if first - 1 in denied or index in self.listed(first - 1):
                first -= 1
            else:
                break
        lead = self._lead(first)
        if LISTING.search(lead):
            return PLAIN
        matches = [m for m in ANSWER_CUE.finditer(lead) if len(lead[m.end() :].split()) <= 6]
        if matches and re.search(r"\b(?:because|since|whereas)\b", lead[matches[-1].end() :]):
            return PLAIN
        matches = [m for m in matches if not re.search(r"\b(?:could|might|may)\b", m[0])]
        if FINAL_CUE.search(lead):
            return FINAL
        if matches or CONCLUSION_CUE.search(lead):
            return ANSWER
        return PLAIN

    def _is_background(self, index: int, lead: str) -> bool:
        """Whether the mention only explains, compares or lists."""
        mention = self.mentions[index]
        if index in self._listings:
            return True
        sentence_start = self._sentence_start(mention.start)
        before = self.masked[sentence_start : mention.start]
        for cue in EXPLAINING.finditer(before):
            opens = not before[: cue.start()].strip(" \"'")
            if not opens or "," not in before[cue.end() :]:
                return True
        if any(not re.search(r"[,:—]|\bbut\b", before[cue.end() :]) for cue in
               COMPARING.finditer(before)):  # fmt: skip
            return True
        after = self.masked[mention.end : mention.end + 80]
        if self._is_owned(index) or self._is_object(index):
            return True
        if roles.is_anothers(lead, after) or (self.languages and roles.is_of_a_nation(after)):
            return True
        if GENERAL_AFTER.match(self.masked, mention.end):
            return True
        return self._is_generic(index, lead)

    def _is_owned(self, index: int) -> bool:
        """Whether another mention has or does this one: "the rooster's crow", "crow of a"."""
        mention = self.mentions[index]
        if mention.letter:
            return False
        if self._is_source(index):
            return True
        if not index or self._gap(index - 1) != " ":
            return False
        owner = self.mentions[index - 1]
        verb = mention.inflected and self.text[: mention.end].endswith("s")
        return verb or self.text[: owner.end].endswith("'s")

    def _is_object(self, index: int) -> bool:
        """Whether another mention talks to, asks or feels for this one: "a man calls a woman"."""
        if not index or self.mentions[index].letter:
            return False
        if self._sentence_start(self.mentions[index].start) > self.mentions[index - 1].start:
            return False
        if self._is_source(index - 1) or self._is_spoken(index):
            return False
        after = self.masked[self.mentions[index].end :]
        return roles.is_object(self._gap(index - 1), after, self.mentions[index - 1].inflected)

    def _is_addressed(self, index: int) -> bool:
        """Whether the mention is only spoken to or of: "she is talking to a man"."""
        mention = self.mentions[index]
        if mention.letter or self._is_spoken(index):
            return False
        return roles.is_addressed(self._lead(index), self.masked[mention.end :])

    def _is_spoken(self, index: int) -> bool:
        """Whether the mention is the language one speaks: "talking to his teacher in English"."""
        return self.languages and roles.is_spoken(self._lead(index))

    def _is_source(self, index: int) -> bool:
        """Whether the next mention makes this one: "the crow of a rooster"."""
        if index + 1 >= len(self.mentions):
            return False
        of = re.fullmatch(r" of (?:an?|the) ", self._gap(index)) is not None
        return of and not roles.is_of_a_person(self.masked[self.mentions[index + 1].end :])

    def ventured(self, index: int) -> bool:
        """Whether the mention, or one that it is listed with, is put forward."""
        lists = [self.listed(first) for first in range(index + 1)]
        return any(self._ventured(i) for group in lists if index in group for i in group)

    def _ventured(self, index: int) -> bool:
        """Whether the mention is put forward: "it sounds like a dog", "a dog, maybe", "a dog."."""
        mention = self.mentions[index]
        if mention.letter:
            return True
        before = self.masked[self._sentence_start(mention.start) : mention.start]
        clause = CLAUSE_STARTS.split(before)[-1]
        after = self.masked[mention.end :]
        # "A dog? No idea": what is asked before a refusal, now blank, is not put forward
        stops = re.match(r"\s*(?:[.,;:!\n—]|\?[\"')\]]*\Z|\Z)", after)
        alone = len(clause.split()) <= 2 and stops
        return bool(VENTURE.search(clause) or VENTURED_AFTER.match(after) or alone)

    def headed(self, index: int) -> bool:
        """Whether the heading of a list leads up to the mention: "one of the following: a dog"."""
        return bool(HEADING.search(self._lead(index)))

    def _is_generic(self, index: int, lead: str) -> bool:
        """Whether the mention is the subject of a general truth: "..., cats meow"."""
        mention = self.mentions[index]
        if not mention.inflected or mention.letter or not self.text[: mention.end].endswith("s"):
            return False
        opens = not lead.strip() or bool(re.search(r"[,:—]\s*(?:and\s+)?$|^[^,.;]*\band\s+$", lead))
        return opens and bool(
            re.match(
                r"\s+(?!and\b|or\b|are\b|is\b|can be\b|alike\b|too\b|together\b)[\w\x00]",
                self.masked[mention.end :],
            )
        )

    def hedged(self, index: int) -> bool:
        """Whether the mention is only held possible: "it could be a cat"."""
        sentence = self._sentence_start(self.mentions[index].start)
        before = CONTRAST.split(self.masked[sentence : self.mentions[index].start])[-1]
        return bool(
            HEDGE.search(before) or HEDGED_AFTER.match(self.masked, self.mentions[index].end)
        )

    def offers(self, index: int) -> bool:
        """Whether the mention stands in a list of alternatives: "either a dog or a cat"."""
        return index in self._alternatives

    def seeming(self, index: int) -> bool:
        """Whether the mention is what something only sounds like."""
        return bool(SEEMING.search(self._lead(index)))

    def contrasted(self, index: int) -> bool:
        """Whether "but" or the like leads up to the mention."""
        return bool(CONTRAST.search(self._lead(index)))
