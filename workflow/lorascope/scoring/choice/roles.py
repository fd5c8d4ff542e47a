"""Who is asked about: the one who speaks or makes the noise, not who is spoken to or told of.

`lead` is the text before a mention, `gap` that between two and `after` that behind one, all in
lower case and with mentions masked.
"""

import re

# From the one who speaks, sounds or feels to another: "a man talking to a", "angry at a"
_DETERMINER = (
    r"(?:an?|the|his|her|their|its|my|your|our|another|some|someone who (?:is|sounds|feels))"
)
_TO_OBJECT = re.compile(
    r"(?!.*\b(?:and|or|nor|but|then|while|whereas|when|than|not|so|because|like|as|means?|followed"
    r"|accompanied|joined)\b)"
    r"(?!.*(?<!who )\b(?:is|are|was|were|be|being|sounds?|seems?|answer|speaks|speaking)"
    r"(?:\s+(?:an?|the))?\s*\Z)"
    r"(?:,\s+(?!an?\b|the\b))?[^,.;:!?\n()\[\]\"/]*?"
    r"\b(?:(?!perhaps|always|sometimes|besides|plus|this|less|unless)\w{3,}(?:s|ed|ing)|to|at"
    r"|about|against|from|by|of|for|after|over|behind|beside|near)\s+"
    rf"(?:\w+\s+)??{_DETERMINER}\s+(?:[\w'-]+\s+){{0,2}}\Z"
)
_ADDRESSED = re.compile(
    r"\b(?:talk|speak|chat|shout|yell|sing|listen|respond|refer|whisper)(?:s|ing|ed)?\s+"
    rf"(?:(?:to|about)(?:\s+{_DETERMINER})?|(?:with|at)\s+{_DETERMINER})\s+(?:\w+\s+){{0,2}}\Z"
    rf"|\b(?:(?:interview|address)(?:s|es|ing)|tells?|told|telling|asks?|asked|asking|greet(?:s|ing)|thank(?:s|ing))"
    rf"\s+{_DETERMINER}\s+(?:\w+\s+)?\Z"
)
# How one speaks, which is no other: "speaks with an angry voice"
_MANNER = re.compile(
    r"\s+(?:\w+\s+)?(?:tone|voice|accent|manner|expression|emotion|feeling|mood|way|attitude"
    r"|sound|pitch"
    r"|style|inflection|intonation|timbre|note)s?\b"
)
_PERSON = re.compile(
    r"\s+(?:\w+\s+)?(?:man|woman|person|boy|girl|one|people|friend|child|stranger"
    r"|crowd|mob|boss|group|audience|customer|colleague|parent|neighbou?r|partner|teacher|dog|animal)\b"
)
_IN_BACKGROUND = re.compile(
    r"[^.,;!?\n\x00]{0,25}\bin the background\b"
    r"|\s+(?:listener|audience|addressee|crowd|choir|chorus|backing)\b"
)
# A verb without an article: "a dog chasing sheep", "a sad speaker remembers happy times"
_VERB_OBJECT = re.compile(
    r"\s+(?:\w+\s+)?(?!(?:is|was|has|his|sounds|seems|feels|looks|appears|becomes|gets|turns|speaks|means"
    r"|being|sounding|feeling|looking|speaking|becoming|getting|turning|barks|noises|sounds|voices|plus"
    r"|perhaps|always|sometimes|besides|answers|expressing|expresses|experiencing|showing|shows)\b)"
    r"\w{3,}(?:s|ing)\s+"
)
_MOVED_BY = re.compile(
    r"\b(?:afraid|scared|frightened|terrified|tired|angry|mad|furious|annoyed|worried|jealous|proud|sick"
    rf"|hat\w+|lov\w+|hear\w+ of)\s+(?:of|at|with|about|by|for)\s+{_DETERMINER}\s*\Z"
)
_ANOTHERS = re.compile(
    rf"\b(?:of|at|with|by|to|about|from|for|that|when|because)\s+{_DETERMINER}\s*\Z"
)
# A nationality, which is not the language: "a French woman", "a German accent"
_OF_A_NATION = re.compile(
    r"\s+(?:\w+\s+)?(?:accent\w*|man|woman|men|women|person|people|girl|boy|lady|gentleman|guy"
    r"|child"
    r"|teacher|student|friend|tourist|actor|actress|singer|chef|citizen|name|city|town|food|dish"
    r"|restaurant"
    r"|culture|descent|origin|nationality|market)\b"
)
_SPOKEN = re.compile(
    r"\b(?:(?:talk|speak|chatt?)(?:s|ing)? (?:to|with) [^.;!?\n]*\bin|speak(?:s|ing)?"
    r"|spoken(?: language)? (?:is|in)|spoke|talk(?:s|ing)? in|(?:say|answer"
    r"|ask|tell|order|write|shout|repl[yi]|read"
    r"|sing|respond)(?:s|es|ing)? [^.;!?\n]*\bin)\s+(?:fluent |only |broken )?\Z"
)


def is_object(gap: str, after: str, by_verb: bool) -> bool:
    """Whether the mention before the gap talks to, asks or feels for the one after it.

    With `by_verb` the mention before is itself a verb: "he fears an angry man".
    """
    if _MANNER.match(after) and re.search(rf"\b(?:with|in|using)\s+{_DETERMINER}?\s*\Z", gap):
        return False
    if _VERB_OBJECT.fullmatch(gap):
        return True
    if by_verb and re.fullmatch(rf" {_DETERMINER} ", gap):
        return True
    return _TO_OBJECT.match(gap) is not None


def is_addressed(lead: str, after: str) -> bool:
    """Whether one is only spoken to or of: "she is talking to a man"."""
    return _ADDRESSED.search(lead) is not None and not _MANNER.match(after)


def is_anothers(lead: str, after: str) -> bool:
    """Whether the mention tells of another: "with a woman in the background", "at an angry man"."""
    if _IN_BACKGROUND.match(after) or (_MOVED_BY.search(lead) and re.match(r"\s+\w", after)):
        return True
    return _ANOTHERS.search(lead) is not None and is_of_a_person(after)


def is_of_a_person(after: str) -> bool:
    """Whether a person follows whom the mention describes: "angry man"."""
    return _PERSON.match(after) is not None


def is_of_a_nation(after: str) -> bool:
    """Whether a language is a nationality here: "a French woman", "a German accent"."""
    return _OF_A_NATION.match(after) is not None


def is_spoken(lead: str) -> bool:
    """Whether the language that follows is spoken: "a Korean man speaking English"."""
    return _SPOKEN.search(lead) is not None
