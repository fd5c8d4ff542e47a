"""Reading a verdict in what a judge wrote, however it wrote it.

In order, the first of these that finds anything decides:

1. lines that begin with a label ("Judgement: correct", also as JSON, bold, quoted, in a list, or
   with the verdict on the next line);
2. labels within a line ("... so my verdict is: incorrect");
3. lines that begin with the verdict itself ("Correct.", "Incorrect - it names a dog");
4. the last sentence, where it says what the response is ("Therefore, the response is wrong.").

Two different verdicts on one level are none, and so are a choice of words ("correct or incorrect",
which echoes the instruction), halves ("partially correct") and "not incorrect". What a judge thinks
aloud between <think> tags is not looked at.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lorascope.study.declarations import Asks

CORRECT, INCORRECT = "correct", "incorrect"
FIRST, SECOND, TIE = "first", "second", "tie"

SAID_NOTHING = "the judge's reply is empty"
NO_VERDICT = "no verdict could be read in the judge's reply"
CONTRADICTORY = "the judge gave several contradictory verdicts"
CUT = "the judge's reply was cut while it was thinking"


@dataclass(frozen=True)
class Reading:
    """The verdict of a reply, None for none with the ``problem`` why."""

    verdict: str | None
    problem: str = ""


_OF = r"(?:(?:my|the|your|this|final|overall|resulting)\s+){0,3}"
_NOUNS = (
    r"judge?ments?|verdict|evaluation|assessment|grade|grading|rating|result|decision|conclusion"
    r"|score|preference|preferred(?:\s+response)?|winner|better(?:\s+response)?"
    r"|best(?:\s+response)?|urteil|jugement|juicio|veredicto|giudizio|verdetto|oordeel|вердикт"
    r"|判定|判断|判決|评判|結論|结论|판정"
)
_GAP = r"\s*(?:[:=>|]|\bis\b|\bare\b|->|--|-)+\s*(?:that\s+)?"
_LED = r"(?:[-+>•·]\s*|\d{1,2}[.)]\s+|\(\w\)\s*)*"
# Not "answer is", which is said of every response.
_STARTED = re.compile(
    rf"{_LED}{_OF}(?:(?:{_NOUNS})(?:{_GAP}|\s*\Z)|(?:label|output|answer)\s*[:=]+)"
)
_INNER = re.compile(rf"\b{_OF}(?:{_NOUNS}){_GAP}")
_SUBJECT = (
    r"(?:(?:the|this|that|its|his|her|their|model(?:'s)?|given|candidate|student(?:'s)?|final)\s+){0,4}"
    r"(?:response|answer|reply|prediction|output|statement|choice|model|it|this|that)"
)
_HELD = r"judged|considered|deemed|marked|rated|counted|labell?ed"
_IS = (
    r"(?:\s+(?:is|was|has been|should be|would be|must be|can be|are)"
    rf"(?:\s+(?:{_HELD})(?:\s+(?:as|to be))?)?)"
)
_HEDGE = (
    r"(?:(?:therefore|thus|so|hence|clearly|definitely|completely|entirely|fully|totally|simply"
    rf"|factually|indeed|as|to be|{_HELD})\s+){{0,4}}"
)
_NEGATED = (
    r"(?:(?:not|never|is not|was not|cannot be|can not be)\s+"
    rf"(?:(?:at all|entirely|fully|completely|quite|really|a|the|{_HELD})\s+)*)"
)
_ONE_OF_TWO = r"(?:response|answer|assistant|option|candidate|model)"
_WORDS: Mapping[Asks, Mapping[str, str]] = {
    "verdict": {
        INCORRECT: r"in-?correct|inaccurate|wrong|false|mistaken|erroneous|not[-_]correct",
        CORRECT: r"correct|right|accurate|true",
    },
    "preference": {
        TIE: r"(?:a\s+)?(?:tie|tied|draw|equal|equally good|both|neither|same|even)",
        FIRST: rf"(?:the\s+)?(?:{_ONE_OF_TWO}\s*(?:one|1|a)|first|1st|1|a)",
        SECOND: rf"(?:the\s+)?(?:{_ONE_OF_TWO}\s*(?:two|2|b)|second|2nd|2|b)",
    },
}
_OPPOSITE = {CORRECT: INCORRECT}
_HALF = re.compile(r"\s*(?:partial(?:ly)?|partly|half|mostly|somewhat|nearly|almost|in part)\b")
_CHOICE = re.compile(
    r"\s*(?:,?\s*(?:or|and/or)\b|/|\||vs\.?|versus\b|,(?=\s*\w+,?\s+or\b))\s*(?=\S)"
)
_ENDED = re.compile(r"\s*(?:[.,;:!。，；！)(\]-]|\Z|because\b|since\b|as\b)")
_NOT_ALONE = re.compile(
    r"\s*[-_]?(?:answers?|options?|choices?|labels?|responses?|letters?|ly|ness|ion)\b"
)
_ASKED = re.compile(r"\b(?:is\s+)?correct(?:ness)?\s*[?:=]+\s*")
_YES = re.compile(r"(?:yes|true|1)\b")
_NO = re.compile(r"(?:no|false|0)\b")
_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL)
_THINKING = re.compile(r"<(?:think|thinking|reasoning)>")
_THOUGHT_END = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.DOTALL)
_MARKUP = re.compile(r"</\w+>|\\(?:boxed|text\w*)|\\[()\[\]]|[*_`~#{}<>\"“”„«»‹›「」『』《》【】]+")
_FORMAT = re.compile(r"</?(?:b|i|u|em|strong|code|pre|p|br|span|div|li|ul)\s*/?>")
_TAG = re.compile(r"<(\w+)>")
_ROLES = {"Cf": "", "So": " "}
"""Categories of characters that say nothing: marks of format, pictures -> what stands for them."""
_LONGEST = 2000
"""Characters of a line that are looked at."""
_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)")
_STOP = re.compile(r"[。．｡！!.;；，、\s)\]']*")
_CONDITION = re.compile(r"\b(?:if|whether|unless|when|would|could|might|may)\b")


def read(text: str, kind: Asks, responses: tuple[str, ...] = ()) -> Reading:
    """Return the verdict in a judge's reply.

    responses: what was judged. A response that holds a verdict of its own never decides: copies of
    it in the reply are passed over, and where the reply says no more than such a copy, only a
    verdict against it counts.
    """
    thought = _without_thoughts(text)
    if thought is None:
        return Reading(None, CUT)
    if not thought.strip():
        return Reading(None, SAID_NOTHING)
    injected = [r for r in responses if r.strip() and _has_label(r, kind)]
    rest = thought
    for response in injected:
        rest = rest.replace(response.strip(), "\n")
    found = _read(rest, kind)
    if rest != thought and found.verdict is None and found.problem != CONTRADICTORY:
        whole = _read(thought, kind)
        found = whole if whole.verdict == INCORRECT else Reading(None, NO_VERDICT)
    return found


def _without_thoughts(text: str) -> str | None:
    """Return a reply without what was thought aloud; None where it ends in the middle of that."""
    said = _THOUGHT_END.sub("", _THOUGHT.sub("", text))
    return None if _THINKING.search(said) else said


def _has_label(response: str, kind: Asks) -> bool:
    lines = _plain(response)
    return any(True for _ in _labelled(lines, kind)) or any(True for _ in _within(lines, kind))


def _read(text: str, kind: Asks) -> Reading:
    lines = _plain(text)
    for level in (_labelled, _within, _bare, _last):
        found = [verdict for verdict in level(lines, kind) if verdict]
        if len({*found}) > 1:
            return Reading(None, CONTRADICTORY)
        if found:
            return Reading(found[0])
    return Reading(None, NO_VERDICT)


def _plain(text: str) -> list[str]:
    """Return the lines with words, in lower case, without markup and quotes."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    text = "".join(_ROLES.get(unicodedata.category(c), c) for c in text).lower()
    text = _FORMAT.sub(" ", text)
    text = _TAG.sub(r" \1: " if "</" in text else r" \1 ", text).replace("n't", " not")
    text = _QUOTE.sub(" ", _MARKUP.sub(" ", text)).replace("—", " - ").replace("–", " - ")
    lines = (_shorter(" ".join(line.split())) for line in text.splitlines())
    return [line for line in lines if line.strip(".-= ")]


def _shorter(line: str) -> str:
    """Return a line without the middle of a very long one."""
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} {line[-_LONGEST // 2 :]}"


# ---------------------------------------------------------------------------------- levels


def _labelled(lines: list[str], kind: Asks) -> Iterator[str | None]:
    """Yield the verdict after each label at the beginning of a line, or on the line after it."""
    for number, line in enumerate(lines):
        if found := _STARTED.match(line):
            rest = line[found.end() :] or "".join(lines[number + 1 : number + 2])
            yield _verdict(rest, kind)


def _within(lines: list[str], kind: Asks) -> Iterator[str | None]:
    """Yield the verdict after each label within a line."""
    for line in lines:
        for found in _ASKED.finditer(line) if kind == "verdict" else ():
            yield _yes_or_no(line[found.end() :])
        for found in _INNER.finditer(line):
            if not _CONDITION.search(line[: found.start()].rpartition(". ")[2]):
                yield _verdict(line[found.end() :], kind)


def _bare(lines: list[str], kind: Asks) -> Iterator[str | None]:
    """Yield the verdict of each line that begins with it, and says no more or a reason."""
    subject = rf"(?:{_SUBJECT}{_IS}\s+)?" if kind == "verdict" else ""
    for line in lines:
        led = re.match(rf"{_LED}{subject}", line)
        rest = line[led.end() :] if led else line
        found = _word(rest, kind)
        if found and found[1] > 1 and _ENDED.match(rest, found[1]):
            yield found[0]


def _last(lines: list[str], kind: Asks) -> Iterator[str | None]:
    """Yield what the last sentence says that the response is, or which one is better."""
    sentences = re.split(r"(?<=[.!?。！])\s+", " ".join(lines[-1:]))
    last = next((one for one in reversed(sentences) if one.strip(" .")), "")
    if _CONDITION.search(last):
        return
    if kind == "preference":
        words = "|".join(f"(?P<{name}>{_WORDS[kind][name]})" for name in (FIRST, SECOND))
        better = rf"\b(?:{words})(?:\s+response)?\s+(?:is|was)\s+(?:\w+\s+)?better\b"
        found = re.search(better, last)
        yield found.lastgroup if found else None
        return
    for found in re.finditer(rf"\b{_SUBJECT}{_IS}\s+", last):
        rest = last[found.end() :]
        word = _word(rest, kind)
        if word and not _STOP.sub("", rest[word[1] :]):
            yield word[0]


def _yes_or_no(rest: str) -> str | None:
    """Return the verdict of "correct: true", as JSON has it; "correct: ..." else says nothing."""
    if _YES.match(rest):
        return CORRECT
    return INCORRECT if _NO.match(rest) else None


def _verdict(rest: str, kind: Asks) -> str | None:
    """Return the verdict with which a text begins, None for none or a choice of several."""
    subject = re.match(rf"(?:{_SUBJECT}{_IS}\s+)", rest) if kind == "verdict" else None
    found = _word(rest[subject.end() :] if subject else rest, kind)
    return found[0] if found else None


def _word(text: str, kind: Asks) -> tuple[str, int] | None:
    """Return the verdict that a text begins with, and where it ends."""
    start = re.match(rf"[\s('\[:=-]*{_HEDGE}", text)
    at = start.end() if start else 0
    if _HALF.match(text, at):
        return None
    negated = re.compile(_NEGATED).match(text, at) if kind == "verdict" else None
    for verdict, words in _WORDS[kind].items():
        found = re.compile(rf"(?:{words})(?!\w)").match(text, negated.end() if negated else at)
        if found:
            return _alone(text, verdict, found.end(), bool(negated), kind)
    return None


def _alone(text: str, verdict: str, end: int, negated: bool, kind: Asks) -> tuple[str, int] | None:
    """Return a verdict and its end, unless others or a noun stand beside the word."""
    choice = _CHOICE.match(text, end)
    others = "|".join(_WORDS[kind].values())
    if choice and re.compile(rf"(?:not\s+)?(?:{others})(?!\w)").match(text, choice.end()):
        return None
    if kind == "verdict" and _NOT_ALONE.match(text, end):
        return None
    if not negated:
        return verdict, end
    return (_OPPOSITE[verdict], end) if verdict in _OPPOSITE else None
