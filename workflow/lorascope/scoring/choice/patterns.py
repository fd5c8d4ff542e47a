"""The words around a mention that deny it, assert it as the answer, or make it background."""

import re

SCOPE_ENDS = re.compile(
    r"[,.;:!?](?=\s|$)|\n|—|\s-\s"
    r"|\b(?:but|however|so|therefore|thus|hence|because|since|yet|instead|sondern|mais|pero|sino)\b"
)
SENTENCE_ENDS = re.compile(r"[.!?;](?=[\s\"')]|$)|\n")
_FILLER = (
    r"(?:(?:an?|the|some|any|option|choice|letter|another|also|even|possibly|perhaps|maybe|both|"
    r"either|it|of|to|be|code)\s*)*"
)
LIST_GAP = re.compile(
    r"[\"'()\[\]\s]*(?:\b(?:sounds?|noises?|voices?|calls?|speakers?|languages?)\b)?[\"'()\[\]\s]*"
    r"(?:[,/&+|\n]|\b(?:and|or|nor|and/or|as well as|plus|vs)\b)?[\"'()\[\]\s,]*"
    rf"(?:\b(?:and|or|nor)\b\s*)?{_FILLER}[\"'()\[\]\s.]*"
)
CONJUNCTION = re.compile(r"\b(?:and|or|nor)\b|[&/]")

# "no doubt", "nothing but", "not only": no denial in them
PSEUDO_DENIAL = re.compile(
    r"\bno doubts?\b|\bwithout (?:a |any )?(?:doubt|hesitation|question)\b|\bundoubtedly\b"
    r"|\bdoubtless\b|\bnot (?:only|just|merely|surprising\w*|to mention)\b"
    r"|\bno (?:question|wonder|problem|surprise)\b|\bwhether or not\b|\bnot bad\b"
    r"|(?:\b(?:no|nothing|none|not|cannot)\b|n't\b)[^.,;\x00]{0,30}\b(?:other than|else than|but)\b"
)
DENIALS = re.compile(
    r"\bwhether\b|\b(?:not|never|neither|nor|nothing|cannot|isnt|doesnt|dont|wasnt|cant)\b|n't\b"
    r"|\bno\b(?!\s*(?:[,.;:!?—-]|$))"
    r"|\b(?:rather|other|less \w+|more \w+|more|less) than\b|\bthan\b|\binstead of\b"
    r"|\bopposed to\b|\bunlike\b|\bwithout\b|\bfar from\b|\bunlikely(?: to be)?\b|\bdoubt\w*\b"
    r"|\b(?:eliminat|discard|reject|dismiss)\w*\b|\brul(?:e|es|ed|ing) out\b"
    r"|\b(?:unable|impossible|difficult|hard) to\b"
    r"|(?<=\x00)[\"')\]]* over\b"
    r"|\b(?:nicht|kein(?:e|en|em|er|es)?|pas|non|ni|weder|noch)\b(?!-)|不是|并非|並非|没有|非"
)
EXCLUSIONS = re.compile(
    r"\bnone of (?:the\b|these\b|those\b|them\b)?\s?(?:other )?"
    r"(?:above|options|choices|answers)?\s?:?|"
    r"\bother (?:animals|options|choices|answers|emotions|languages|sounds)\b,?\s*(?:\(|such as"
    r"|like"
    r"|including|namely|:)|\bexcept(?: for)?:?|\bexcluding\b|\bexclude[sd]?\b|\b(?:anything"
    r"|everything|all) but\b"
)
_WRONG = (
    r"(?:not|wrong|incorrect|false|unlikely|improbable|impossible|out\b|ruled out|eliminated"
    r"|excluded|rejected|less likely|irrelevant|no\b|nope|never)"
)
DENIED_AFTER = re.compile(
    r"[\"')\]]*(?:\s+(?!and\b|or\b|but\b|is\b|are\b|which\b|that\b)[\w']+){0,2}?\s*"
    r"(?:\"?\s*(?:is|are|was|were|would be|can be|could be|must be|seems?|as|'s)\s+"
    rf"(?:\w+ly\s+|also\s+|just\s+|the\s+|an?\s+|both\s+|all\s+){{0,2}}{_WRONG}"
    r"|\s(?:is|are|was|were|does|do|did|can|could|would|will|has|have)(?:n't|\s+not)\b"
    r"|\s+(?:cannot|never|doesnt|isnt|dont)\b)"
    r"|[\"')\]]*\s*(?:[-:,?=—.(>→]+\s*)?(?:(?:definitely|certainly|clearly|probably|surely)\s+)?"
    r"(?:no|nope|not|nein|non|wrong|incorrect|false)\s*(?:[.,;!?()\n]|$)"
    r"|[\"')\]]*\s*[-:(]*\s*[✗✘❌×]|\s?(?:ではな|じゃな|(?:가|이|은|는) ?(?:아니|아닙))"
)
PLURAL_VERB = re.compile(r"\b(?:are|were|do|don't|have|can|can't|cannot|could|would|will)\b")

FINAL_CUE = re.compile(
    r"\bfinal(?:ly)?\b|\bin conclusion\b|\bconclu\w+\b|\bultimately\b|\boverall\b|\bin summary\b"
    r"|\bto sum up\b|\ball in all\b"
)
ANSWER_CUE = re.compile(
    r"\b(?:answer|choice|option|selection|pick|response|match|verdict|decision|guess|bet|code"
    r"|respuesta|reponse|risposta|antwort|resposta)\b(?! options| choices)[^.;!?\n\x00]*?"
    r"(?:\b(?:is|are|be|was|es|est|ist|remains|becomes)\b|[:=]|->|→|'s\b)"
    r"|\b(?:choose|chose|choosing|select|selected|pick|(?:go|going) (?:with|for)|opt"
    r"|opting|settled?|vote|answer)\b"
    r"(?! from\b| between\b| among\b| one\b| the answer from)"
    r"|答案|正解|答え|정답|选|選"
)
CONCLUSION_CUE = re.compile(
    r"(?:^\s*|[,.;:—\n-]\s*|\band\s+)(?:so|therefore|thus|hence|consequently|accordingly)\b"
    r"|\b(?:therefore|thus|hence|suggesting|indicating)\b"
    r"|\b(?:which|this) means (?:that|it|the|this)\b"
)
ANSWER_AFTER = re.compile(
    r"[\"')\]]*(?:\s+(?!and\b|or\b|but\b)\w+){0,2}?\s*(?:,\s*)?"
    r"(?:is|are|was|seems|would be|must be|'s|as)\s+"
    r"(?:(?:by far|clearly|definitely|probably|likely|the|my|a|most|only|single|final)\s+)*"
    r"(?:correct|right|best|better|answer|likely|likeliest|closest|match|choice|true|pick|one"
    r"|suitable|appropriate|fitting)\b"
    r"|[\"')\]]*\s+(?:fits|matches) (?:best|the \w+ best)\b|[\"')\]]*,? it is\b(?=[.!]|$)"
    r"|[\"')\]]*\s*[-:(,?>→]*\s*(?:yes|correct|true)\b|[\"')\]]*\s*[-:(]*\s*[✓✔✅]"
)
ASSERTION = re.compile(
    r"(?:\b(?:it|this|that|he|she|they|there|(?:animal|sound|noise|voice|speaker|person|language|"
    r"emotion|clip|audio|recording|source|creature|feeling)(?:'s \w+)?)"
    r"(?:'s|'re|\s+(?:is|are|was|were|seems?|sounds?|feels?|means|expresses|comes from|speaks?|"
    r"must be|contains))|\bi (?:can )?(?:hear|heard|detect|recogni[sz]e|think|believe))\b"
    r"(?:\s+(?:it is|it's|that|this|is|to be|like|speaking|in|from|"
    r"feeling|very|an?|the|of|a \w+ing|\w+ly))*\s*$"
)
LISTING = re.compile(
    r"\b(?:between|among|amongst|out of|one of|from the (?:options|choices|list|following)"
    r"|options?(?: \w+)? (?:are|were|include|given)|choices(?: \w+)? (?:are|include)|candidates)\b"
)
# Explanations reach to the end of the sentence, comparisons to the next comma
# ("a sheep bleats while a dog barks" tells of two animals)
EXPLAINING = re.compile(
    r"\b(?:because|since|whereas|while(?! (?:an?|the|another)\b)|given that|due to|(?<=, )as"
    r"|weil|denn"
    r"|porque|parce que|puisque|perche|poiche)\b|因为|因為"
)
COMPARING = re.compile(
    r"\b(?:although|though|despite|obwohl|aunque|bien que|quoique|malgre|sebbene|anche se|if"
    r"|mean(?:s|ing|t)|translat\w+|at first|initially|thought"
    r"|was (?:thinking|going)|expected|similar to|reminds|resembl\w+|unlike|compared"
    r"|confused with|mistaken for|normally|usually|typically)\b|虽然|雖然|尽管"
)
HEDGE = re.compile(
    r"\b(?:could|may|might|maybe|perhaps|possibly|either|at first|initially|thought|whether)\b"
)
SEEMING = re.compile(r"\b(?:seem\w*|sound\w*|similar|resembl\w+|like|close|remind\w*|appear\w*)\b")
CONTRAST = re.compile(r"\b(?:but|however|yet|nevertheless|still|instead)\b")
HEDGED_AFTER = re.compile(
    r"[^.;!?\n\x00]{0,25}\b(?:possible|possibility|plausible|could be|might be|may be|maybe)\b"
    r"|\s*\?\s*(?:perhaps|maybe|possibly|could be|might be|may be)\b"
)
GENERAL_AFTER = re.compile(
    r"[\"')\]]*\s+(?:is|stands for|means|is (?:the )?code (?:for|of)|is for)\s+(?:english|german"
    r"|french"
    r"|spanish|italian|japanese|korean|chinese|mandarin|portuguese|russian)\b"
    r"|\s+(?:is|are) an? (?:\w+ ){0,2}(?:emotion|language|animal|mammal|amphibian|bird|feeling)s?\b"
    r"|\s+(?:has|have|had|lacks?|uses?) (?:no|none|neither|different|fewer|other|another)\b|"
    r"s?(?:\s+\w+){0,2}?\s+(?:would(?! be used)|usually|typically|normally|tends?|often|always"
    r"|generally)\b"
)
# Heads a list of what may be chosen, of which a reply that is cut shows the first alone
HEADING = re.compile(
    r"\b(?:options|choices|candidates|alternatives|possibilities"
    r"|answers)\b[^.;!?\n\x00]*(?:\bare\b|:|\binclude\b)"
    r"|\bone of (?:the |these )?(?:\w+ )*?(?:following|options|choices|below|two|three|four)\b"
    r"|\b(?:select|choose|pick) (?:one )?(?:from|among|between|of)\b|\bthe following(?: \w+)?:"
)


# What leads up to an option that is put forward though the reply declines elsewhere
VENTURE = re.compile(
    r"\b(?:is|was|are|be|sounds?|seems?|appears?|looks?|resembles?|hear|heard|detect|say|said|guess"
    r"|think|believe|suppose|suspect|bet|assume|recogni[sz]e|go|choose|pick|select|answer|maybe"
    r"|perhaps|probably|possibly|likely|sense|identify|suggests?|indicates?|speaks?|speaking|from"
    r"|option|more|definitely|clearly|rather|matches|fits|conclude|lean\w*|feels?)\b|'s\b"
)
VENTURED_AFTER = re.compile(
    r"\W*(?:maybe|perhaps|probably|possibly|i guess|i think|i suppose|it is\b|it must|is my"
    r"|seems|fits"
    r"|is the|then\b)"
)
CLAUSE_STARTS = re.compile(r"[.,;:!?\n—]\s|\b(?:but|however|though|although|yet)\b")
