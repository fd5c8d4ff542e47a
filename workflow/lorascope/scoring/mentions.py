"""Where a reply mentions the text of an option."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lorascope.scoring import lexicon
from lorascope.scoring.text import CJK, lower, normalise, words

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
        return frozenset({self.letter, self.text} - {None})


@lru_cache(maxsize=4096)
def _forms(options: tuple[tuple[str, str], ...]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Return (letter, words, whole) per option, also without a leading article (not whole)."""
    forms = []
    for letter, text in options:
        tokens = tuple(word.lower for word in words(normalise(text)))
        forms.append((letter, tokens, True))
        if len(tokens) > 2 and tokens[0] in _ARTICLES:
            forms.append((letter, tokens[1:], False))
    return forms


def _key(word: str, gerund: bool, short: bool) -> str:
    if short:  # codes and titles have no other forms
        return word
    return lexicon.verb_key(word) if gerund else lexicon.noun_key(word)


def _sequences(options: tuple[tuple[str, str], ...]) -> list[tuple[str, tuple[str, ...], list]]:
    """Return (letter, words, [(key, gerund, short)]); forms that fit two options only verbatim."""
    keyed = []
    for letter, tokens, _ in _forms(options):
        kinds = [
            (lexicon.is_gerund(token), len(tokens) == 1 and len(token) < 3) for token in tokens
        ]
        keys = [(_key(t, *kind), *kind) for t, kind in zip(tokens, kinds, strict=True)]
        keyed.append((letter, tokens, keys))
    owners: dict[tuple[str, ...], set[str]] = {}
    for letter, _, keys in keyed:
        owners.setdefault(tuple(key for key, _, _ in keys), set()).add(letter)
    return [
        (letter, tokens, keys)
        if len(owners[tuple(key for key, _, _ in keys)]) == 1
        else (letter, tokens, [(token, False, True) for token in tokens])
        for letter, tokens, keys in keyed
    ]


_cached_sequences = lru_cache(maxsize=4096)(_sequences)


def find_texts(
    text: str, options: tuple[tuple[str, str], ...], synonyms: bool = False
) -> list[Mention]:
    """Return the mentions of option texts in `text`, longest match first, none overlapping.

    With `synonyms`, words of the lexicon that mean the same as a one-word option count as well.
    """
    found = _cjk_mentions(text, options)
    tokens = words(text)
    texts = dict(options)
    for letter, form, keys in _cached_sequences(options):
        for first in range(len(tokens) - len(keys) + 1):
            window = tokens[first : first + len(keys)]
            if not keys or not all(
                _fits(word.lower, key, synonyms and len(keys) == 1)
                for word, key in zip(window, keys, strict=True)
            ):
                continue
            start, end = window[0].start, window[-1].end
            end += len(_own_stop(text[end : end + 1], texts[letter]))
            if len(keys) < 4 and re.search(r"\n\n|[!?;]\s", text[start:end]):
                continue  # words of two sentences
            if _is_compound(text, start):
                continue
            if len(keys) == 1 and not _stands_as_code(text, window[0].lower, start, end, options):
                continue
            inflected = tuple(word.lower for word in window) != form
            found.append(Mention(start, end, None, letter, inflected))
    found.sort(key=lambda m: (m.start - m.end, m.inflected, m.start))
    kept: list[Mention] = []
    for mention in found:
        if all(mention.end <= other.start or mention.start >= other.end for other in kept):
            kept.append(mention)
    return sorted(kept, key=lambda m: m.start)


def find_parts(text: str, options: tuple[tuple[str, str], ...]) -> list[Mention]:
    """Return mentions of a recognisable part of an option that no other option shares.

    A part is a name's last word with its capital ("Goethe") or at least three words and 60 % of
    the words of the option, in one piece from its beginning or to its end.
    """
    found = []
    tokens = words(text)
    for letter, option in options:
        plain = normalise(option)
        form = [word.lower for word in words(plain)]
        rest = {w.lower for other, t in options if other != letter for w in words(normalise(t))}
        if len(form) > 1 and len(form[-1]) >= 4 and form[-1] not in rest and _is_name(plain):
            found += [
                Mention(word.start, word.end, None, letter, True)
                for word in tokens
                if word.lower == form[-1] and text[word.start].isupper()
            ]
        size = max(3, -(-len(form) * 3 // 5))
        if len(form) <= size:
            continue
        for part in (form[:size], form[-size:]):
            for first in range(len(tokens) - size + 1):
                window = tokens[first : first + size]
                if [word.lower for word in window] == part:
                    found.append(Mention(window[0].start, window[-1].end, None, letter, True))
    found.sort(key=lambda m: (m.start, -m.end))
    return [m for i, m in enumerate(found) if i == 0 or m.start >= found[i - 1].end]


def _is_name(text: str) -> bool:
    return all(text[w.start].isupper() for w in words(text) if w.end - w.start > 3)


def _own_stop(char: str, option: str) -> str:
    """Return `char` if it is the stop that ends the option's own text ("Ms.")."""
    return char if char in (".", "!", "?") and option.endswith(char) else ""


def _fits(word: str, key: tuple[str, bool, bool], synonyms: bool) -> bool:
    wanted, gerund, short = key
    if _key(word, gerund, short) == wanted:
        return True
    return synonyms and not short and wanted in lexicon.concepts(lexicon.noun_key(word))


def _is_compound(text: str, start: int) -> bool:
    """Whether the word at `start` ends a hyphenated compound: a mezzo-soprano is no soprano."""
    return bool(re.search(r"[^\W_]{2}-$", text[:start]))


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
    r"(?:code|answer|option|choice|abbreviation|tag|language|respuesta|reponse|risposta|antwort)"
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
        r"\s*(?:$|[.,;:!?\n\"')\]])", after
    ):
        return True  # all there is between two stops
    if re.search(r"(?:^|\W)[a-z][).:\]]+[\s\"']*$|\boption [a-z],?\s*$", before):
        return True  # after its letter
    others = "|".join(re.escape(option.lower()) for _, option in options if option.lower() != word)
    if re.match(rf"\s*(?:,|/|\bor\b|\band\b)\s*(?:{others})\b", after) or re.search(
        rf"\b(?:{others})\s*(?:,|/|\bor|\band|,\s*and|,\s*or)\s*$", before
    ):
        return True  # in a list of codes
    if not _CODE_ENDS.match(after):
        return False
    if word in _FOREIGN and re.match(r"[\"')\]]*\s*(?:$|[.;!?\n])", after):
        return True  # ends a sentence
    if re.search(r"\b(?:so|therefore|thus|hence),?\s*$", before) and re.match(r"\.?$", after):
        return True
    sentence = re.split(r"[.;!?\n]\s", before)[-1]
    says_so = re.search(rf"\b{_CODE_NOUN}s?\b", sentence) is not None
    return bool(_VERB_BEFORE.search(before)) and (says_so or word in _FOREIGN)
