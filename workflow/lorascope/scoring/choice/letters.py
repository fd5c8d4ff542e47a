"""Where a reply mentions the letter of an option."""

import re
from collections.abc import Sequence

from lorascope.scoring.choice.mentions import Mention
from lorascope.scoring.choice.text import Word, lower, words

_NOUN = r"(?:option|choice|letter|answer|alternative)"
_TERMINAL = re.compile(
    r"[\"')\]}]*\s*(?:$|[.,;:!?\n—]|-\s|(?:because|since|and|or|but|not|as|instead|rather|is)\b)"
)
_CUE = re.compile(
    rf"(?:{_NOUN}|\b(?:is|be|pick|select|choose|chose|with|for|say|was|than|not|so|or|and|both|either"
    r"|neither|nor|between)|'s|[:=,/])[\s\"'(\[]*$"
)
_ORDINALS = {
    "first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3,
    "fifth": 4, "5th": 4, "last": -1, "one": 0, "two": 1, "three": 2, "four": 3, "five": 4,
}  # fmt: skip
_ORDINAL = re.compile(
    r"\b(?:(first|second|third|fourth|fifth|last|1st|2nd|3rd|4th|5th)\s+(?:option|choice|answer)"
    r"|(?:option|choice)\s+(?:number\s+)?#?(\d|one|two|three|four|five))\b"
)


def find_letters(text: str, letters: Sequence[str], taken: Sequence[Mention]) -> list[Mention]:
    """Return the mentions of option letters in `text` outside the spans `taken`."""
    known = {letter.lower(): letter for letter in letters}
    starts = {mention.start for mention in taken}
    found = []
    for word in words(text):
        if word.lower not in known:
            continue
        if any(m.start <= word.start < m.end for m in taken):
            continue
        if _is_letter(text, word, starts, known):
            found.append(Mention(word.start, word.end, known[word.lower], None))
    order = list(letters)
    for match in _ORDINAL.finditer(lower(text)):
        if match[1]:
            index = _ORDINALS[match[1]]
        else:
            index = int(match[2]) - 1 if match[2].isdigit() else _ORDINALS[match[2]]
        if -1 <= index < len(order) and not any(m.start < match.end() for m in taken if
                                                m.end > match.start()):  # fmt: skip
            found.append(Mention(match.start(), match.end(), order[index], None))
    return found


def _is_letter(text: str, word: Word, text_starts: set[int], known: dict[str, str]) -> bool:
    """Tell an option letter from an article, an initial, a note, an apostrophe."""
    before, after = text[: word.start], text[word.end :]
    gap = re.match(r"[\s\"')\]}.,:;=—-]*(?:an?\s|the\s)?", after)
    assert gap is not None, "each part of it may be empty"
    names_text = word.end + gap.end() in text_starts and bool(re.search(r"[^\s\"]", gap[0]))
    slashed = re.search(rf"(?:^|\W)[{''.join(known)}]/$", before, re.IGNORECASE)
    if re.search(r"[\w&]['.&/-]$|#$", before) and not slashed:
        return False
    if re.match(r"['&/-]\w|\.[^\W\d_]\b|#|\+", after) and not (
        names_text or re.match(r"/[A-Z]\b", after)
    ):
        return False
    if re.match(r"[\"']?\s*[)\]}]", after) or (
        re.search(r"[(\[{\"']$", before) and re.match(r"[)\]}\"']", after)
    ):
        return True
    if re.match(r"\s+(?:major|minor|flat|sharp)\b", after) or re.search(
        r"(?i)\b(?:vitamin|plan|hepatitis)\s$", before
    ):
        return False
    if word.lower not in "aeiouy" or (word.lower in "eouy" and text[word.start].isupper()):
        return True
    if names_text and gap[0].strip()[:1] in (".", ":", ")", "]", "-", "—", "="):
        return True
    return _is_vowel_letter(text, word, known)


def _is_vowel_letter(text: str, word: Word, known: dict[str, str]) -> bool:
    """Tell the letter a (or i, ...) from the article (the pronoun, ...)."""
    before, after = lower(text[: word.start]), lower(text[word.end :])
    line = before.rpartition("\n")[2] + after.partition("\n")[0]
    if not re.search(r"\w", line):
        return True
    if re.search(rf"\b{_NOUN}s?\s*[:=]?\s*[\"'(]*$", before) and not re.search(
        r"answer\s$", before
    ):
        return True
    others = "".join(letter for letter in known if letter != word.lower)
    if re.match(rf"\s*(?:,|/|\bor\b|\band\b|,\s*(?:and|or)\b)\s*[{others}]\b(?!')", after):
        return True
    if re.search(rf"(?<!\w)[{others}]\)?(?:,|/| or| and|, or|, and)\s*$", before):
        return bool(_TERMINAL.match(after))
    if _CUE.search(before) and _TERMINAL.match(after):
        return True
    opening = not before or before[-1] == "\n" or bool(re.search(r"[.!?]\s+$", before))
    if opening and re.match(r"\s+(?:because|since)\b", after):
        return True
    if text[word.start] != word.lower.upper():
        return False
    if opening:
        return bool(re.match(r"[.:,]\s|\s+[-—=]|\s+(?:is|seems|fits|not|rather)\b|[.!]$", after))
    return word.lower == "a" and bool(_TERMINAL.match(after))
