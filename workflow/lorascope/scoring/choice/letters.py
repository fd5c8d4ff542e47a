"""Where a reply mentions the letter of an option.

A lone letter is an answer only in the form of one (`FORMS`), and each letter in the same forms:
"Track C", "plan B" and the article "a" are words of running text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lorascope.scoring.choice.mentions import Mention
from lorascope.scoring.choice.text import CJK, Word, lower, words


@dataclass(frozen=True, slots=True)
class LetterForm:
    """A form in which a letter answers; the example holds {x} for any letter."""

    name: str
    before: re.Pattern[str]  # searched in the line up to the letter, in lower case
    after: re.Pattern[str]  # matched from the letter's end, in lower case
    example: str
    sure: bool  # enough where other letters stand in running text


_NOUN = (
    r"(?:options?|choices?|(?:(?:\A|[\n.,:!?]\s*|\b(?:is|with|choose|pick) )(?:the )?letter"
    r"|letter(?='s|\s+is|\s*[:=]))|answer|alternative|response|selection|pick|guess|verdict|ans"
    r"|opcion|opzione|respuesta|reponse|risposta|antwort|resposta)"
)
_BE = (
    r"(?:'s|\s+(?:is|was|be|es|est|ist|e|lautet|remains|becomes|(?:would|must|should|could|might|"
    r"may|has to|ought to|can only) be))"
)
_SURELY = r"(?:(?:\w+ly|just|then|most likely|still|also|my|the|option|choice|letter)\b\s*)*"
_OPEN = r"[\s\"'(\[{]*"
_CLOSE = r"[\"')\]}]*"
_STOP = rf"{_CLOSE}\s*(?:\Z|[.,;:!?\n—]|-\s)"
_END = (
    rf"{_CLOSE}\s*(?:\Z|[.,;:!?\n—{CJK}]|-\s|(?:because|since|instead|rather than|over|due to|given"
    r"|for (?:me|sure))\b|as (?:it|the|i|this|that|my|they)\b|(?:and|or|but|not|nor)\s+(?:(?:i"
    r"|it|that"
    rf"|the|this|not|choose|pick|select|option|choice|letter|also|either|possibly|maybe)\b"
    rf"|{_OPEN}[a-z]\b))"
)
_IS = r"\s+(?:is|was|seems|fits|sounds|matches|would|because|as|since|for)\b"


def _form(name: str, before: str, after: str, example: str, sure: bool = False) -> LetterForm:
    return LetterForm(name, re.compile(rf"(?:{before})\Z"), re.compile(after), example, sure)


_LINE = rf"(?:\A|\n){_OPEN}"
FORMS = (
    _form("all there is", _LINE, r"[\s\"')\]}.,:;!?-]*(?:\Z|\n)", "{x}", True),
    _form("in brackets", r"[(\[{][\"']?", r"[\"']?[)\]}]", "I am sure that ({x}) fits.", True),
    _form("in wide brackets", r"(?:\A|[\s\w:])[(\[{]\s+[\"']?", r"[\"']?\s+[)\]}](?=\Z|[\s.,;])",
          "I am sure that ( {x} ) fits.", True),
    _form("in quotes", r"(?:\A|[^\w])[\"']", r"[\"'](?!\w)", 'Write "{x}" here.', True),
    _form("opens a line", _LINE, r"\s?[):](?!\s*[()\[\]{}])|[.,;!](?=\s)|\s+[-—=]|-\s"
        r"|\s\.", "{x}) It is loud."),
    _form(
        "opens a sentence of its own", rf"(?<!mr)(?<!mrs)(?<!ms)(?<!dr)[.!?:]\s+{_OPEN}",
        rf"\s?[):](?!\s*[()\[\]{{}}])|[.!]?{_CLOSE}\Z", "It is loud. {x}.",
    ),
    _form(
        "opens a reason", rf"(?:{_LINE}|[.!?]\s+)", r"\s+(?:because|since|due to)\b",
        "{x} because it is loud",
    ),
    _form(
        "opens with stress", _LINE,
        rf",?\s+(?:i think|i guess|i believe|for sure|definitely|certainly|probably|clearly|maybe"
        rf"|obviously|please|likely){_STOP}", "{x} definitely",
    ),
    _form(
        "opens a list", _LINE,
        rf"{_CLOSE}\s*(?:[,/&+]|(?:and|or|rather than|instead of|over|not)\b)\s*{_OPEN}[a-z]{_END}",
        "{x} rather than z",
    ),
    _form("after stress", rf"{_LINE}(?:definitely|certainly|probably|maybe|perhaps)\s+{_OPEN}",
          _STOP, "Definitely {x}."),
    _form(
        "is judged", r"(?:\A|[\s\"'(\[,;:-])",
        rf"{_CLOSE}\s+(?:is|was|seems|sounds|looks|fits|(?:would|must|should|can|could) be)"
        r"(?:\s+(?:\w+ly|also|the|my|a|far|by|not|more|less))*?\s+(?:correct|right|wrong|incorrect"
        r"|best|better|better|answer|likely|closest|match|true|false|out|ruled|eliminated|excluded"
        r"|option|choice|one|what|it)\b|\s*[-:]\s*(?:yes|no|correct|wrong)\b|\s*[✓✔✅✗✘❌×]",
        "I hear noise and {x} is the right one.",
    ),
    _form(
        "does not fit", r"(?:\A|[.!?;,\n]\s*|\b(?:and|but)\s+)",
        rf"{_CLOSE}\s+(?:isn't|is not|cannot|can't|doesn't|does not|fits|matches|not\s+[a-z]\b)",
        "{x} fits the noise.",
    ),
    _form(
        "after a noun", rf"\b{_NOUN}\b[\"')]*(?:{_BE}|\s*[:=]|\s*-+>|\s+number|\s+[-—])*"
        rf"\s*{_SURELY}{_OPEN}", rf"(?:{_END}|{_CLOSE}{_IS})", "The best option is {x}.", True,
    ),
    _form(
        "after a verb", r"\b(?:choos(?:e|ing)|chose|chosen|pick(?:ed|ing)?|select(?:ed|ing)?|vote"
        r"|opt(?:ing)?|think|believe|go(?:ing)?|went|settled?|say|guess|stick|prefer"
        r"|answer(?:ed)?|bet)"
        rf"(?:\s+(?:with|for|on))?\s+{_SURELY}{_OPEN}", _END, "I would go with {x}.",
    ),
    _form(
        "is it", r"(?:\A|[.,;:!?\n—]\s*|\b(?:so|because|think|believe|say|guess|that|and|but|sure"
        r"|if|then|suppose|feel)\s+)(?:it|this|that|(?:the\s+)?(?:one|animal|sound|noise|creature"
        r"|speaker|voice|language|emotion|gender|code|correct one|right one))"
        rf"{_BE}\s+{_SURELY}{_OPEN}", _END, "I think it is {x}.", True,
    ),
    _form(
        "is one of a list", r"\b(?:in|on|from|of|among)\s+(?:(?:this|the|your|these|those|all)\s+"
        rf"(?:list|options|choices|alternatives)|these|those){_BE}\s+{_SURELY}{_OPEN}", _END,
        "Its cousin in this list is {x}.",
    ),
    _form("asks", rf"\b(?:is|was) it\s+{_SURELY}{_OPEN}", rf"{_CLOSE}\s*\?", "Is it {x}?"),
    _form(
        "concludes", rf"\b(?:so|therefore|thus|hence|finally|conclusion|ergo)\b[,:]?\s+{_OPEN}",
        _STOP, "It is loud, so {x}.",
    ),
    _form(
        "after a label", rf"(?:\A|\n)[^\n:=]{{0,40}}(?::|=|->|=>"
        rf"|→){_OPEN}", _STOP, "Result: {x}", True
    ),
    _form(
        "corrects itself", r"\b(?:wait|no|actually|mean|meant|rather|correction|sorry|make that)\b"
        rf"[,:]?\s+(?:it's\s+|it is\s+)?{_OPEN}", _STOP, "Loud, no wait, {x}.",
    ),
    _form(
        "denied", r"\b(?:not|nor|neither|except|rul(?:e|es|ed|ing) out|eliminat\w+|exclud\w+"
        r"|reject\w*|either"
        rf"|between|both|only|just)\s+{_SURELY}{_OPEN}", _END, "It is ({x}) and only {x}.",
    ),
    _form(
        "in other scripts",
        rf"(?:答案|正解|答え|정답|选|選)[^\w\n]{{0,3}}[{CJK}]{{0,3}}[^\w\n]{{0,3}}",
        r"(?![a-z])", "答案是{x}", True,
    ),
)  # fmt: skip
_JOINED = re.compile(
    rf"{_CLOSE}\s*(?:[,/&+]|\b(?:and|or|nor|not|over|but|vs)\b|,\s*(?:and|or|not|nor|but)\b"
    rf"|,?\s*(?:rather than|instead of|as well as|and/or)\b|\.\s+(?:not|neither)\b)?\s*"
    rf"(?:(?:option|choice|letter|the|not|either)\s+)*{_OPEN}"
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
    low = lower(text)
    lone = [
        word
        for word in words(text)
        if word.lower in known
        and not any(m.start <= word.start < m.end for m in taken)
        and not _is_part_of_word(low, word, known)
    ]
    answers = [_is_answer(low, word, taken, False) for word in lone]
    _spread(low, lone, answers)
    if any(not answer and word.lower != "a" for word, answer in zip(lone, answers, strict=True)):
        answers = [_is_answer(low, word, taken, True) for word in lone]
        _spread(low, lone, answers)
    found = [
        Mention(word.start, word.end, known[word.lower], None)
        for word, answer in zip(lone, answers, strict=True)
        if answer
    ]
    return found + _find_ordinals(low, list(letters), taken)


def _find_ordinals(low: str, order: list[str], taken: Sequence[Mention]) -> list[Mention]:
    found = []
    for match in _ORDINAL.finditer(low):
        if match[1]:
            index = _ORDINALS[match[1]]
        else:
            index = int(match[2]) - 1 if match[2].isdigit() else _ORDINALS[match[2]]
        if -1 <= index < len(order) and not any(m.start < match.end() for m in taken if
                                                m.end > match.start()):  # fmt: skip
            found.append(Mention(match.start(), match.end(), order[index], None))
    return found


def _is_part_of_word(low: str, word: Word, known: dict[str, str]) -> bool:
    """Whether the letter is an initial, a contraction, a compound ("B-side", "C++", "D'accord")."""
    before, after = low[max(0, word.start - 3) : word.start], low[word.end : word.end + 4]
    slashed = re.search(rf"(?:^|\W)[{''.join(known)}]/$", before) or (
        re.match(rf"/[{''.join(known)}](?:\W|$)", after)
    )
    if slashed:
        return False
    if re.search(r"[\w&]['.&/-]$|#$", before):
        return True
    return bool(re.match(r"['&/-][^\W_]|\.[^\W\d_](?:\W|$)|#|\+\+|\s\+\s*\+", after))


def _is_answer(low: str, word: Word, taken: Sequence[Mention], sure: bool) -> bool:
    """Whether the letter stands in one of the forms of an answer, with `sure` in a sure one."""
    before = low[max(0, word.start - 80) : word.start]
    after = low[word.end : word.end + 80]
    if _names_text(low, word, taken):
        return True
    line = low[low.rfind("\n", 0, word.start) + 1 :].partition("\n")[0]
    if re.fullmatch(rf"(?:\W*\b{word.lower}\b)+\W*", line):
        return True  # "b b b b"
    return any(
        form.before.search(before) and form.after.match(after)
        for form in FORMS
        if form.sure or not sure
    )


def _names_text(low: str, word: Word, taken: Sequence[Mention]) -> bool:
    """Whether the text of an option follows: "b. dog", or its own without a stop: "b dog"."""
    for mention in taken:
        gap = low[word.end : mention.start]
        if mention.start < word.end or len(gap) > 12:
            continue
        if re.fullmatch(r"[\"')\]}]*\s*[.:)\]=,—-]+[\s\"'(]*(?:an?\s|the\s)?\"?", gap):
            return True
        own = mention.text is not None and mention.text.lower() == word.lower
        return own and word.lower != "a" and gap == " "
    return False


def _spread(low: str, lone: Sequence[Word], answers: list[bool]) -> None:
    """Take the letters listed with an answer for answers too: "b, c and d", "b rather than c"."""
    line_of_letters = [False] * len(lone)
    for index in range(len(lone) - 1):
        gap = low[lone[index].end : lone[index + 1].start]
        line_of_letters[index] = len(gap) < 30 and _JOINED.fullmatch(gap) is not None
    for index in range(len(lone) - 1):
        if line_of_letters[index] and answers[index]:
            end = low[lone[index + 1].end : lone[index + 1].end + 40]
            answers[index + 1] |= re.match(_END, end) is not None
    for index in reversed(range(len(lone) - 1)):
        if line_of_letters[index] and answers[index + 1]:
            answers[index] = True
