"""Where a reply shortens, respells or breaks off the text of an option.

Consulted only when a reply names no option otherwise. What fits two options equally names none.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile

from lorascope.scoring.choice import lexicon
from lorascope.scoring.choice.mentions import Mention, longest_first
from lorascope.scoring.choice.text import Word, lower, normalise, words


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(lexicon.stem, text.split()))


# Words without content of their own: they neither tell an option nor speak against it
_FUNCTION = _set(
    "a also am an and any are as at be been being both by can could do does for from had has "
    "have he her here him his how i in into is it its just like more most my no not of on or "
    "our out over she should so some such than that the their them then there these they this "
    "those to too up very was we were what when where which while who will with would you "
    "your 's 'd 'll d'un de la le da di von van off away after before now right i'm i'd i've "
    "it's they'd don't can't what's about but if isn't aren't wasn't doesn't didn't won't "
    "couldn't wouldn't may might must me us myself"
)
# Words in which a reply wraps its answer
_FRAME = _stems(
    "speaker person someone somebody voice audio clip recording sound animal creature answer "
    "option choice response best correct likely probably situation expression facial face "
    "emotion feeling feel match matching suit fit think believe guess say show need use it "
    "mean appropriate proper behavior behaviour term label word name type kind way move most "
    "language country city dish food book test exam item range clothing figure celebrity "
    "historical literary work family code spoken would must select choose pick go "
    "famous actress actor singer painter composer writer poet physicist scientist admiral "
    "emperor president let get tell try start please best good simply leave keep traditional "
    "scottish"
)
# Words of names that single out nothing
_COMMON_IN_NAMES = _stems("city town test university language family")
_NEGATIONS = frozenset(["don't", "never", "not", "stop", "quit"])
_AVOID = lexicon.stem("avoid")
_BRIEF = 4  # words of a reply in which one word of an option tells
_SOUNDS = 6  # letters of a word that is told by its sound
_NEAR = 4  # words between two words of one shortened option


@dataclass(frozen=True, slots=True)
class _Content:
    """What is told of an option: the keys of its words of content, and which are its own."""

    letter: str
    keys: frozenset[str]
    own: frozenset[str]
    words: frozenset[str]
    spelling: str  # all its words in one
    sound: str  # the same for spellings that sound alike
    is_name: bool


@lru_cache(maxsize=65536)
def _agree(key: str, option_key: str) -> bool:
    """Whether two words are of one family: teary and tear, congratulate and congratulation."""
    if key == option_key:
        return True
    short, long = sorted((key, option_key), key=len)
    if len(short) < 4:
        return False
    if len(long) - len(short) <= 3 and long.startswith(short):
        return True
    pairs = zip(short, long, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return shared >= max(6, 0.7 * len(long))


def _fits(key: str, option: _Content) -> str | None:
    """Return the key of the option that agrees with `key`: in names and single words, itself."""
    if key in option.keys:
        return key
    if option.is_name or len(option.keys) == 1:
        return None
    return next((own for own in option.keys if _agree(key, own)), None)


def _fit(word: Word, key: str, option: _Content) -> str | None:
    if word.lower in _NEGATIONS and _AVOID in option.keys:
        return _AVOID  # "don't dismiss it" shortens "avoid dismissing it"
    return None if word.lower in _FUNCTION else _fits(key, option)


@lru_cache(maxsize=4096)
def _contents(options: tuple[tuple[str, str], ...]) -> tuple[_Content, ...]:
    plain = [(letter, normalise(text)) for letter, text in options]
    keys = {
        letter: frozenset(lexicon.stem(w.lower) for w in words(text) if w.lower not in _FUNCTION)
        for letter, text in plain
    }
    found = []
    for letter, text in plain:
        others = frozenset().union(*(keys[other] for other in keys if other != letter))
        spelling = "".join(word.lower for word in words(text))
        spelt = frozenset(word.lower for word in words(text))
        own = keys[letter] - others
        sound = _sound(spelling)
        found.append(_Content(letter, keys[letter], own, spelt, spelling, sound, _is_name(text)))
    return tuple(found)


def _sound(spelling: str) -> str:
    """Return one spelling for those that languages differ in: "Kleopatra", "Cleopatra"."""
    return spelling.replace("ph", "f").replace("k", "c").replace("y", "i")


def _sounds(word: str, option: _Content, contents: tuple[_Content, ...]) -> bool:
    """Whether `word` sounds like `option`, and like no other."""
    if len(word) < _SOUNDS or _sound(word) != option.sound:
        return False
    return sum(other.sound == option.sound for other in contents) == 1


def _is_name(text: str) -> bool:
    tokens = words(text)
    content = [w for w in tokens if w.lower not in _FUNCTION]
    return len(tokens) > 1 and len(content) <= 4 and all(
        text[w.start].isupper() or w.end - w.start < 4 for w in content
    )  # fmt: skip


def find_parts(text: str, options: tuple[tuple[str, str], ...]) -> list[Mention]:
    """Return the mentions of shortened, respelt and broken-off options."""
    contents = _contents(options)
    found = _respelt(text, contents) + _broken_off(text, options)
    for clause in _clauses(text):
        found += _shortened(text, clause, contents)
    return longest_first(found)


def _clauses(text: str) -> list[tuple[Word, ...]]:
    """Split the words of `text` at stops, and at "or", "and", "not" between alternatives."""
    breaks = [
        m.start()
        for m in re.finditer(
            r"[.!?;:\n](?=\s|$|\")|\bor\b|\bnot\b"
            r"|\bbut\b",
            lower(text),
        )
    ]
    clauses: list[list[Word]] = [[]]
    limit = iter([*breaks, len(text) + 1])
    stop = next(limit)
    for word in words(text):
        while word.start >= stop:
            clauses.append([])
            stop = next(limit)
        clauses[-1].append(word)
    return [tuple(clause) for clause in clauses if clause]


def _shortened(
    text: str, clause: tuple[Word, ...], contents: tuple[_Content, ...]
) -> list[Mention]:
    """Return the mention of the option of which most words stand close together in `clause`."""
    keyed = [(word, lexicon.stem(word.lower)) for word in clause]
    content = [
        key
        for word, key in keyed
        if word.lower not in _FUNCTION
        and (key not in _FRAME or any(key in option.keys for option in contents))
    ]
    best: list[tuple[int, Mention]] = []
    for option in contents:
        fits = [_fit(word, key, option) for word, key in keyed]
        for run in _runs(fits):
            keys = {fits[i] for i in run}
            own = keys & option.own
            whole = all(_fits(key, option) for key in content)
            named = option.is_name and any(
                text[keyed[i][0].start].isupper() and fits[i] in own - _COMMON_IN_NAMES
                and len(keyed[i][0].lower) >= 3 for i in run
            )  # fmt: skip
            telling = len(option.keys) <= 3 or not option.is_name
            brief = len(words(text)) <= _BRIEF and not option.is_name and len(option.keys) > 1
            whole = whole or (brief and len(content) == 2 and content[0] in own)
            if own - _FRAME and (whole or (named and telling) or _is_much(run, keys, own, option)):
                first = run[0]
                while first and clause[first - 1].lower in option.words:
                    first -= 1  # "I can't" of "I can't breathe"
                start, end = keyed[first][0].start, keyed[run[-1]][0].end
                best.append((len(keys), Mention(start, end, None, option.letter, True)))
    top = max((size for size, _ in best), default=0)
    kept = [mention for size, mention in best if size == top]
    return kept if len({mention.text for mention in kept}) == 1 else []


def _is_much(run: list[int], keys: set[str | None], own: set[str | None], option: _Content) -> bool:
    """Three words of an option, two of a short one, or two neighbours no other option has."""
    if len(keys) == 2:
        return len(option.keys) <= 5 or (len(own) == 2 and run[-1] - run[0] == 1)
    return len(keys) > 2


def _runs(hits: list[str | None]) -> list[list[int]]:
    """Group the indices of hits that stand close together."""
    groups: list[list[int]] = []
    for index in (i for i, hit in enumerate(hits) if hit):
        if groups and index - groups[-1][-1] <= _NEAR:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _respelt(text: str, contents: tuple[_Content, ...]) -> list[Mention]:
    """Return mentions that differ from an option in spaces, hyphens or spelling: "Capetown"."""
    tokens = words(text)
    found = []
    for first, last in zip(tokens, tokens[2:], strict=False):
        if text[first.end : last.start] == " for ":  # "a cage for birds"
            joined = lexicon.noun_key(last.lower) + first.lower
            found += [
                Mention(first.start, last.end, None, option.letter, True)
                for option in contents
                if joined == option.spelling
            ]
    for option in contents:
        if len(option.spelling) < 4:
            continue
        for index in range(len(tokens)):
            joined = ""
            longest = 0
            for token in tokens[index : index + 4]:
                joined += token.lower
                longest = max(longest, len(token.lower))
                if longest < 3:
                    continue  # "fe male", but not "fe ma le"
                same = joined in (option.spelling, option.spelling.removesuffix("s"))
                if same or (token.lower == joined and _sounds(joined, option, contents)):
                    span = tokens[index].start, token.end
                    found.append(Mention(*span, None, option.letter, True))
    return found


def _broken_off(text: str, options: tuple[tuple[str, str], ...]) -> list[Mention]:
    """Return the mention at the end of a reply that was cut within the text of one option."""
    low = lower(text)
    found = []
    for letter, option in options:
        plain = lower(normalise(option))
        for word in words(text)[-12:]:
            tail = low[word.start :]
            if 4 <= len(tail) < len(plain) and plain.startswith(tail) and text[-1].isalnum():
                found.append(Mention(word.start, len(text), None, letter, True))
                break
    return found if len(found) == 1 else []
