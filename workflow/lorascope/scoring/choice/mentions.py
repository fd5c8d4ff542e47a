"""Where a reply mentions the text of an option."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lorascope.scoring.choice import lexicon
from lorascope.scoring.choice.text import CJK, lower, normalise, words

_HAS_CJK = re.compile(f"[{CJK}]")
_ARTICLES = {"a", "an", "the"}
# Codes that are words of running text too, in English (no code unless the sentence says so) ...
_ENGLISH = {
    "am", "an", "as", "at", "be", "by", "do", "go", "he", "hi", "i", "if", "in", "is", "it", "me",
    "my", "no", "of", "oh", "on", "or", "so", "to", "up", "us", "we",
}  # fmt: skip
# ... or in the languages that replies may quote
_FOREIGN = {
    "al", "ce", "da", "de", "di", "du", "el", "en", "er", "es", "et", "il", "im", "ist", "ja", "je",
    "la", "le", "les", "lo", "ne", "se", "si", "su", "te", "tu", "un", "una", "zu",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention of an option: by its letter, its text or both, at text[start:end]."""

    start: int
    end: int
    letter: str | None  # option named by letter
    text: str | None  # option named by text
    inflected: bool = False  # the text stands in another form than in the option list

    @property
    def named(self) -> frozenset[str]:
        """The options this mention names: two when letter and text disagree."""
        return frozenset(name for name in (self.letter, self.text) if name is not None)


@dataclass(frozen=True, slots=True)
class Form:
    """A sequence of words that names the option `letter`, with how each word is compared."""

    letter: str
    words: tuple[str, ...]
    keys: tuple[str, ...]
    kinds: tuple[str, ...]  # "exact", "noun" or "verb", as in _ROWS
    stop: str  # the stop that ends the option's own text, as in "Ms."


_ROWS: dict[str, Callable[[str], str]] = {
    "exact": str,
    "noun": lexicon.noun_key,
    "verb": lexicon.verb_key,
}


@lru_cache(maxsize=4096)
def _forms(options: tuple[tuple[str, str], ...]) -> tuple[Form, ...]:
    """Return the forms of each option; those whose keys fit two options must match verbatim."""
    forms = []
    for letter, text in options:
        plain = normalise(text)
        tokens = tuple(word.lower for word in words(plain))
        if not tokens or _HAS_CJK.search(plain):
            continue
        stop = plain[-1] if plain[-1] in ".!?" else ""
        forms.append(_form(letter, tokens, stop))
        if len(tokens) > 2 and tokens[0] in _ARTICLES:
            forms.append(_form(letter, tokens[1:], stop))
    owners: dict[tuple[str, ...], set[str]] = {}
    for form in forms:
        owners.setdefault(form.keys, set()).add(form.letter)
        owners.setdefault(form.words, set()).add(form.letter)
    distinct = [
        form
        if len(owners[form.keys]) == 1
        else replace(form, keys=form.words, kinds=("exact",) * len(form.words))
        for form in forms
    ]
    return tuple(f for f in distinct if all(f.letter == g.letter or f.words != g.words
                                            for g in distinct))  # fmt: skip


def _form(letter: str, tokens: tuple[str, ...], stop: str) -> Form:
    kinds = []
    for token in tokens:
        if len(tokens) == 1 and len(token) < 3 and not token.isdigit():
            kinds.append("exact")  # codes and titles have no other forms
        else:
            kinds.append("verb" if lexicon.is_gerund(token) else "noun")
    keys = tuple(_ROWS[kind](token) for kind, token in zip(kinds, tokens, strict=True))
    return Form(letter, tokens, keys, tuple(kinds), stop)


def find_texts(text: str, options: tuple[tuple[str, str], ...]) -> list[Mention]:
    """Return the mentions of option texts in `text`, longest match first, none overlapping."""
    found = _cjk_mentions(text, options)
    tokens = words(text)
    forms = _forms(options)
    used = {kind for form in forms for kind in form.kinds}
    rows = {kind: [_ROWS[kind](word.lower) for word in tokens] for kind in used}
    for form in forms:
        for first in _positions(form, rows, len(tokens)):
            window = tokens[first : first + len(form.words)]
            start, end = window[0].start, window[-1].end
            if form.stop and text[end : end + 1] == form.stop:
                end += 1
            if len(window) < 4 and re.search(r"\n\n|[!?;]\s", text[start:end]):
                continue  # words of two sentences
            if re.search(r"[^\W_]{2}-$", text[max(0, start - 3) : start]):
                continue  # a mezzo-soprano is no soprano
            if len(window) == 1 and not _stands_as_code(text, window[0].lower, start, end, options):
                continue
            inflected = tuple(word.lower for word in window) != form.words
            found.append(Mention(start, end, None, form.letter, inflected))
    return longest_first(found)


def longest_first(found: list[Mention]) -> list[Mention]:
    """Return the longest of the mentions that overlap, in order."""
    kept: list[Mention] = []
    for mention in sorted(found, key=lambda m: (m.start - m.end, m.inflected, m.start)):
        if all(mention.end <= other.start or mention.start >= other.end for other in kept):
            kept.append(mention)
    return sorted(kept, key=lambda m: m.start)


def _positions(form: Form, rows: dict[str, list[str]], count: int) -> list[int]:
    """Return the indices of the words at which `form` begins."""
    head, size = form.keys[0], len(form.keys)
    row = rows[form.kinds[0]]
    if size == 1:
        return [i for i, key in enumerate(row) if key == head]
    return [
        i
        for i, key in enumerate(row[: max(0, count - size + 1)])
        if key == head and all(rows[form.kinds[n]][i + n] == form.keys[n] for n in range(1, size))
    ]


def _cjk_mentions(text: str, options: Sequence[tuple[str, str]]) -> list[Mention]:
    found = []
    low = lower(text)
    for letter, option in options:
        plain = lower(normalise(option)).strip(" .,!?")
        if _HAS_CJK.search(plain):
            pattern = r"\s*".join(map(re.escape, plain.split()))
            found += [Mention(m.start(), m.end(), None, letter) for m in re.finditer(pattern, low)]
    return found


_CODE_NOUN = (
    r"(?:code|answer|option|choice|abbreviation|tag|language|respuesta|reponse|risposta|antwort"
    r"|codice|codigo|kode|sprache|sprachcode)"
)
_VERB_BEFORE = re.compile(
    r"(?:\b(?:is|be|es|est|ist|e|as|code|option|answer|choose|pick|select|say|with|for|so|also|"
    r"therefore|thus|not|or)|[:=])[\s\"'(]*$"
)
_CODE_ENDS = re.compile(
    r"[\"')\]]*\s*(?:$|[.,;:!?\n)\]—]|\(|-\s|(?:because|since|as|for|which|not|rather|and|or)\b)"
)


def _stands_as_code(
    text: str, word: str, start: int, end: int, options: tuple[tuple[str, str], ...]
) -> bool:
    """Whether `word`, if it is also a word of running text, stands where only a code would."""
    if word not in _ENGLISH | _FOREIGN:
        return True
    before, after = lower(text[:start]), lower(text[end:])
    if re.search(r"(?:^|[.,;:!?\n\"'(\[])\s*$", before) and re.match(
        r"\s*(?:$|[.,;:!?\n\"'()\]])", after
    ):
        return True  # all there is between two stops
    if re.search(r"(?:^|\W)[a-z][).:\]]+[\s\"']*$|\boption [a-z],?\s*$", before):
        return True  # after its letter
    others = "|".join(re.escape(option.lower()) for _, option in options if option.lower() != word)
    if re.match(rf"\s*(?:,|/|\bor\b|\band\b)\s*(?:{others})\b", after) or re.search(
        rf"\b(?:{others})\s*(?:,|/|\bor|\band|,\s*and|,\s*or)\s*$", before
    ):
        return True  # in a list of codes
    if word in _FOREIGN and (
        re.search(r"\bcode\s+$", before)
        or re.match(r"\s+(?:is the|is correct|stands for)\b", after)
    ):
        return True  # "de is the code for German"
    if not _CODE_ENDS.match(after):
        return False
    if word in _FOREIGN and re.match(r"[\"')\]]*\s*(?:$|[.;!?\n])", after):
        return True  # ends a sentence
    if re.search(r"\b(?:so|therefore|thus|hence),?\s*$", before) and re.match(r"\.?$", after):
        return True
    if word in _ENGLISH and after.lstrip().startswith("?"):
        return False
    if re.search(r"\bit(?:'s| is| must be)\s*$|\bnot \w+,? but\s*$", before):
        return True  # "it is it": no pronoun stands there
    sentence = re.split(r"[.;!?\n]\s", before)[-1]
    says_so = re.search(rf"\b{_CODE_NOUN}s?\b", sentence) is not None
    return bool(_VERB_BEFORE.search(before)) and (says_so or word in _FOREIGN)
