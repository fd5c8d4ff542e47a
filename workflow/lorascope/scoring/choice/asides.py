"""What a reply says besides its answer: courtesies, refusals, requests, quoted speech.

Each row of the tables has an example that tells of no option because the row takes it out. The
text is cut, never reworded, and the whole text of a long option is never cut.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lorascope.scoring.choice.mentions import Mention
from lorascope.scoring.choice.text import lower, words


@dataclass(frozen=True, slots=True)
class Aside:
    """A pattern over the lower-cased reply, and a reply of nothing else."""

    pattern: re.Pattern[str]
    example: str


def _row(pattern: str, example: str) -> Aside:
    return Aside(re.compile(pattern), example)


_LONG = 4  # words of an option that is no part of an aside
_FEELING = (
    r"(?:happy|glad|delighted|pleased|sad|saddened|sorry|afraid|angry|surprised|disgusted|scared"
    r"|thrilled|excited|honou?red)"
)
_I_AM = r"(?:\b(?:i|we)(?:'m|'re| am| are| was| would be|'d be| will be|'ll be| feel)\s+)"

# Polite and idiomatic words of feeling, address and nationality: the words themselves are cut
COURTESIES = (
    _row(rf"{_I_AM}(?:\w+\s+){{0,3}}?{_FEELING}\s+(?:to|that|for|with|about|if|when|you|i|this"
         rf"|it|there|we|the)\b",
         "I am happy to try."),
    _row(rf"(?:\A|(?<=[.!?\n;,])\s*)(?:(?:so|very|always|more than)\s+)?{_FEELING}\s+to\b",
         "Happy to listen again."),
    _row(r"\b(?:happy|glad|delighted|pleased) to (?:help|assist|hear|answer|listen|try|do)\b",
         "Always glad to help."),
    _row(r"\b(?:gladly|happily)\s+(?:help|assist|answer|do|tell|try|listen|explain|identify)\b",
         "I would gladly help."),
    _row(r"\bglad (?:that )?you\b", "Glad you asked."),
    _row(r"(?:\A|(?<=[.!?\n;])\s*|\bbut\s+)(?:sadly|happily|surprisingly|fearfully)"
         r"(?:\s+enough)?(?:,|(?=\s+(?:i|there|no|this|the|it|we|my)\b))", "Sadly, no."),
    _row(r"\bi fear(?: that)?\b", "I fear so."),
    _row(r"\b(?:for|no) fear (?:of|that)\b", "For fear of a mistake, silence."),
    _row(r"\b(?:it is|it's|how) (?:sad|happy|surprising|scary) (?:that|to)\b", "How sad to hear."),
    _row(r"\b(?:my|the|a) (?:sad|happy) (?:duty|news|fact|truth|day|coincidence|accident"
         r"|occasion)\b", "My sad duty."),
    _row(r"\bhave an? (?:very )?(?:happy|joyful)\b|\b(?:happy|merry) "
         r"(?:birthday|new year|\w+day|weekend|christmas|holidays"
         r"|listening)\b", "Have a happy day!"),
    _row(r"\b(?:don't|do not|please don't|no need to) (?:be|get|feel) (?:too )?"
         r"(?:angry|mad|sad|afraid|scared|surprised)\b", "Don't be angry."),
    _row(r"\byou(?:'d| would|'ll| will) be (?:surprised|happy|glad|sad)\b", "You'd be surprised."),
    _row(r"\bto (?:my|our) (?:\w+ )?(?:surprise|joy|delight|disgust|horror)\b|\b(?:much )?to my "
         r"(?:great )?(?:sadness|fear|anger)\b", "To my surprise, nothing."),
    _row(r"\b(?:i|we) (?:do |sincerely |must )?apologi[sz]e\b(?: for [^.,;!?]*)?|\bapologies\b"
         r"(?: for [^.,;!?]*)?", "I apologize for the silence."),
    _row(r"\bpardon my french\b", "Pardon my French."),
    _row(r"\bdear (?:sir|madam|sirs)(?:(?: or |/)(?:sir|madam))?\b,?", "Dear Sir or Madam,"),
    _row(r"(?:\A|(?<=[.!?\n])\s*)(?:ladies(?: and gentlemen)?|gentlemen|(?:hey )?guys|man|boy)"
         r",\s+(?=\w+ \w+)", "Gentlemen, good evening to you."),
    _row(r"(?<=sorry|thank|hanks|ogize|ogies|hello|ening|rning|lease|fraid)"
         r"(?: you)?,\s*(?:sir|ma'am|madam|man|dude|guys|lady)\b,?", "Good evening, sir."),
    _row(r"\bi (?:really |also |do )?(?:enjoy|love|adore|hate|dislike|eat|cook|own|admire)\b"
         r"[^.,:;!?\n()]*(?=,? but (?:i |we )?(?:cannot|can't|could not|couldn't|am unable"
         r"|am not able|do not|don't|there)\b)", "I love my dog, but I cannot hear it."),
    _row(r"\bas an? (?:native |fluent )?\w+ (?:speaker|learner),?", "As an English speaker."),
)  # fmt: skip

_CANNOT = (
    r"(?:can't|cannot|can not|could not|couldn't|am unable|'m unable|was unable|unable|am not able"
    r"|'m not able|not able|do not|don't|didn't|did not|won't|will not|wouldn't|refuse|lack"
    r"|can neither"
    r"|have no|'ve no|had no|am not (?:sure|certain)|'m not (?:sure|certain)|not sure|not certain)"
)
_PERCEIVE = (
    r"(?:hear|tell|say|determine|identify|listen|answer|help|know|process|decide|recogni[sz]e|see"
    r"|understand|access|provide|confirm|assist|do|choose|detect|distinguish|make|find|discern"
    r"|judge|classify|infer|perceive|analy[sz]e|guess|be (?:sure|certain)|be determined|comment"
    r"|idea|clue|way|information|access|sure|certain|enough|audio|sound|complete|play|open|load)"
)
# A clause that says that no answer is given: the clause is cut
REFUSALS = (
    _row(rf"\b(?:i|we|you|one|it|nobody|which|that)\b\s*(?:also |just |really |still |simply |"
         rf"honestly |therefore )*{_CANNOT}\b\W*(?:\w+\W+){{0,3}}?{_PERCEIVE}\b",
         "I cannot say whether it is a dog."),
    _row(r"(?:\A|,\s*)(?:unable|not able|impossible|hard|difficult|not possible|not sure|unsure"
         r"|no way|no idea|not certain)\b(?! (?:but|not))", "Unable to tell sad from angry."),
    _row(r"\b(?:it is|it's|is|are|be|was|not)\s+(?:\w+ly |too |very |not )?(?:impossible|hard"
         r"|difficult"
         r"|tough|not possible|possible|unclear|not clear|uncertain)(?: for (?:me|us"
         r"|an ai))? (?:to|for|whether|if|which|what)\b",
         "It is impossible to tell a dog from a cat."),
    _row(r"\b(?:unclear|uncertain|not clear|unknown)\b[^,;]*\b(?:whether|if|which|what)\b",
         "It is unclear whether the speaker is happy."),
    _row(r"\b(?:is|are|would be) (?:\w+ )?(?:unreliable|speculative|beyond me)\b",
         "Telling a dog from a cat is unreliable."),
    _row(r"\bmy \w+ (?:is|isn't) (?:\w+ )?(?:limited|good|poor|bad|weak|rusty|great|perfect)\b",
         "My English is poor."),
    _row(r"\bi lack\b|\b(?:my|our) (?:training|knowledge|capabilit\w+|abilit\w+)\b"
         r"|\bi (?:can|could) only (?!be|conclude|say|hear|choose|pick|guess|assume|identify)",
         "My training covers English only."),
    _row(r"\b(?:remains?|stays?) (?:a mystery|unclear|unknown|uncertain|open)\b"
         r"|\bdid(?:n't| not) come through\b", "The dog remains a mystery."),
    _row(r"\bno (?:way|means) (?:to|of)\b", "There is no way to know if it is a dog."),
    _row(r"\b(?:no|without(?: any)?|missing|lack of|silent|empty|need the|require the"
         r"|hearing the)\s+"
         r"(?:(?:clear|usable|attached|actual|audible|input|the|any)\s+)?"
         r"(?:audio|clip|recording|sound|speech|file|voice)\b"
         r"|\b(?:audio|clip|recording|sound|speech|file|voice) (?:\w+ )?(?:is|was|isn't|seems) "
         r"(?:\w+ )?(?:silent|missing|empty|supported|unclear|inaudible|available|provided|too)\b",
         "Without the audio it is a dog or a cat."),
    _row(r"\b(?:cannot|can't|could not|couldn't) be (?:\w+ly )?(?:determined|confirmed"
         r"|identified|said"
         r"|told|verified|established|known|inferred|deduced|classified|recogni[sz]ed|detected"
         r"|heard"
         r"|answered|judged|guessed)\b", "Anger cannot be confirmed."),
    _row(r"\b(?:clip|file|audio|recording|sound|it)\b[^.;]*\b(?:doesn't|does not|didn't|did not"
         r"|won't"
         r"|isn't|is not) (?:play|load|open|work|start|attached|included|here)",
         "The sound of the dog does not play."),
    _row(r"\bi (?:was|am|'m|have been) (?:only |mostly |mainly )?trained\b|\b(?:and|but) (?:so )?"
         rf"(?:can't|cannot|don't) {_PERCEIVE}\b", "I was trained on English."),
    _row(r"\bi (?:do |can |also |only )*(?:speak|understand|know|learned|study) (?:only |some "
         r"|no |very "
         r"|a )?(?:little |bit of )?\w+\W*\Z", "I do understand some Italian"),
    _row(r"\b(?:tell|say|know|decide|determine|see|ask|check|identify|wonder|wondering|certain"
         r"|sure|question|clear)\b(?: you| me| us)? (?:whether|if)\b",
         "I will tell you whether it is a dog."),
    _row(r"\b(?:inappropriate|not appropriate|unethical|unfair|improper|wrong)\b.*\b(?:infer|guess"
         r"|assume|identify|determine|judge|classify|say)\b",
         "It would be wrong to guess whether it is a dog."),
    _row(r"\bi (?:wish|would need|'d need|need|would have to|'d have to|require)\b|\bi'd need\b",
         "I wish it were a dog or a cat."),
    _row(r"\bi (?:can |could |do |am able to )?(?:only |just )(?:can )?(?:speak|understand|know"
         r"|read|answer|reply|respond"
         r"|process|support)\b|\bi'm only\b", "I only understand English."),
    _row(r"(?:\A|(?<=[.!?\n])\s*)(?:could|can|would|will) (?:you|we|someone)\b|\bplease "
         r"(?:provide|tell|upload|send|listen|let|give|specify|clarify|try|share|repeat|ask|check"
         r"|describe|confirm|say|play)\b|(?:\A|[.!?;,]\s*)let me know\b"
         r"|\A\W*(?:try (?:it )?(?:again|with)|ask (?:me|again)|upload|send me|rephrase"
         r"|provide (?:an?|the))\b",
         "Please tell me if it is a dog."),
    _row(r"\b(?:as an?|i am an?|i'm an?) (?:\w+ )*?(?:ai|language model|text model|assistant"
         r"|model)\b"
         r"(?=[^,;]*\b(?:do not|don't|cannot|can't|no|unable|not)\b)",
         "As an AI I do not feel fear or joy."),
)  # fmt: skip
_SUPPOSED = re.compile(
    r"(?:\A|(?<=[.!?;,\n])\s*|\band\s+)(?:but )?(?:if|unless|once|should)\s+(?!(?:i"
    r"|we) (?:had to|have to"
    r"|must|were to|heard?|am not|were forced|needed to|understand|recall|remember)\b|anything"
    r"|i'm not"
    r"|forced|pressed|so\b|not\b)[^.;\n?!]*"
)
_CLAUSE_BREAK = re.compile(
    r"(?<!\bmr)(?<!\bms)(?<!\bmrs)(?<!\bdr)[.!?](?=\s|\Z|\")\"?|\n|;|—|\s-\s|:\s|,?\s*\b(?:but"
    r"|however|yet|nevertheless|though|although|still)\b(?! to)"
    r"|,\s*(?=[^,.;!?\n]{1,30}\b(?:maybe|perhaps|probably|possibly|i guess|i think|i'd say"
    r"|i suppose)\W*\Z)"
    r"|,\s*(?=(?:hard|difficult|unable|impossible|not sure|i|so|and so|probably|perhaps|maybe"
    r"|possibly|most likely|likely|my|i'd|i would|i think"
    r"|i believe|i guess|it|the|it's|therefore)\b)|\b(?=and (?:it|i|the)\b)"
)

_SPEAKS = (
    r"\b(?:says|said|saying|reads|repeats?|repeating|utters?|shouts?|yells?|exclaims?|sings?|asks?"
    r"|whispers?)"
)
_RECORD = (
    r"\b(?:transcription|transcript|transcribed (?:text|speech)|text|lyrics?|words?|phrase|sentence"
    r"|utterance|content|spoken|quote|statement|line|speech|dialogue|caption|subtitles?)"
)
_QUOTED = r"(?:\"[^\"\n]+\"|(?<!\w)'(?=\w)[^\n]{2,200}?(?<=[\w.!?,])'(?!\w))"
# What somebody is quoted to say, which is no answer: the quoted words are cut
SPEECH = (
    _row(rf"(?:{_SPEAKS}|{_RECORD})\b[^\"'.!?\n:]{{0,40}}[:,]?\s*({_QUOTED})",
         'The speaker says "I am so happy for you."'),
    _row(rf"({_QUOTED}),?\s*(?:(?:is|are|was)\s+(?:what|said|spoken|heard|repeated|shouted|the "
         r"(?:transcri\w+|words|text))|(?:he|she|they|the \w+|a \w+) (?:says?|said|shouts?"
         r"|yells?|asks?"
         r"|asked|repl(?:ies|ied)|whispers?|exclaims?)|says?\b|said\b"
         r"|can be heard)", '"I\'m so sad" is what she says.'),
    _row(rf"{_RECORD}\b(?: (?:of|in) the (?:\w+ )?\w+)?(?:\s+(?:is|are|was|reads|says|goes))?\s*:"
         r"(\s*[^.!?\n]*)", "The transcription is: I was so angry"),
    _row(rf"(?:\A|(?<=[.!?\n])\s*)(?:(?:the|an?) \w+(?: speaker)?|audio|speaker|someone"
         rf"|somebody|he|she|they|what is)\s*(?:is |are )?{_SPEAKS}(?: in \w+)?\s*:(\s*[^.!?\n]*)",
         "The audio says: I am afraid of the dark"),
    _row(r"\b(?:talks?|talking|speaks?|speaking|story|song|poem|speech|topic|discuss\w*|sings?"
         r"|singing)"
         r"(?:\s+is)?\s+((?:about|of|on)\s+(?:an?|the|his|her|their|how|being)\b[^.,;!?\n]*)",
         "The speech is about a happy childhood."),
)  # fmt: skip


def strip_asides(text: str, options: Sequence[Mention]) -> tuple[str, bool]:
    """Return `text` without asides, and whether it declines to answer.

    Of the mentions of `options` a long text stays, and what is quoted where no other is named.
    """
    keep = [m for m in options if len(words(text[m.start : m.end])) >= _LONG]
    spoken = [m.span(1) for row in SPEECH for m in row.pattern.finditer(lower(text))]
    if all(any(start <= m.start < end for start, end in spoken) for m in options):
        text = _cut(text, spoken, [*keep, *(m for m in options if _is_quoted(text, m))], ".")
    else:
        text = _cut(text, spoken, keep, ".")
    text = _cut(text, [m for row in COURTESIES for m in _spans(row, text)], keep, "")
    refused = [span for span in _refusals(text) if not _touches(span, keep)]
    text = _cut(text, refused, keep, "")
    supposed = [m.span() for m in _SUPPOSED.finditer(lower(text))]
    return _cut(text, supposed, keep, ""), bool(refused)


def _spans(row: Aside, text: str) -> list[tuple[int, int]]:
    return [match.span() for match in row.pattern.finditer(lower(text))]


def _refusals(text: str) -> list[tuple[int, int]]:
    """The clauses of `text` that decline to answer."""
    low = lower(text)
    found = []
    start = 0
    for cut in [*_CLAUSE_BREAK.finditer(low), None]:
        end = cut.start() if cut else len(low)
        clause = low[start:end].strip()
        if any(row.pattern.search(clause) for row in REFUSALS):
            found.append((start, end))
        start = cut.end() if cut else end
    return found


def _is_quoted(text: str, mention: Mention) -> bool:
    before, after = text[: mention.start], text[mention.end :]
    return before[-1:] in ("'", '"') and after.lstrip(".!?")[:1] in ("'", '"')


def _touches(span: tuple[int, int], keep: Sequence[Mention]) -> bool:
    return any(m.start < span[1] and span[0] < m.end for m in keep)


def _cut(text: str, spans: list[tuple[int, int]], keep: Sequence[Mention], mark: str) -> str:
    """Blank the spans that touch none of `keep`; positions stay."""
    for start, end in spans:
        if not _touches((start, end), keep):
            text = text[:start] + (mark + " " * (end - start))[: end - start] + text[end:]
    return text
