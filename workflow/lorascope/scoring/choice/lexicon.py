"""Word forms the option scorer knows.

Two words are the same word when they have the same key. `noun_key` undoes plurals, possessives and
the derivations listed in `_FAMILIES`; `verb_key` undoes verb endings and is used only against
options that are gerunds ("Barking"), so that a rooster crowing is not a crow.
"""

from functools import lru_cache

# Head word -> its derivations. Emotions are adjectives in one question and nouns in the next.
_FAMILIES = {
    "happy": "happier happiest happily happiness",
    "sad": "sadder saddest sadly sadness saddened saddening",
    "angry": "anger angered angrier angriest angrily",
    "disgust": "disgusted disgusting disgustedly disgustingly",
    "fear": "fears fearful fearfully fearfulness feared fearing fearsome",
    "surprise": "surprised surprising surprisingly",
    "neutral": "neutrality neutrally",
    "calm": "calmer calmly calmness",
    "joy": "joyful joyfully joyous",
    "excited": "excitement excitedly",
    "bored": "boredom boring",
    "anxious": "anxiety anxiously",
    "frustrated": "frustration",
    "male": "males",
    "female": "females",
    "carnivore": "carnivorous",
    "herbivore": "herbivorous",
    "omnivore": "omnivorous",
    "insectivore": "insectivorous",
    "viviparous": "viviparity viviparously",
    "oviparous": "oviparity oviparously",
    "man": "men",
    "woman": "women",
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "wolf": "wolves",
    "calf": "calves",
    "hoof": "hooves hoofs",
    "foot": "feet",
    "tooth": "teeth",
    "its": "their his her",
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "6": "six",
    "7": "seven",
    "8": "eight",
    "9": "nine",
    "10": "ten",
}

_HEAD = {form: head for head, forms in _FAMILIES.items() for form in forms.split()}
_IRREGULAR_VERBS = {
    "ran": "run", "swam": "swim", "flew": "fly", "flown": "fly", "flight": "fly", "hid": "hid",
    "ate": "eat", "wept": "weep", "frozen": "freeze", "froze": "freeze",
    "gave": "give", "laid": "lay", "spoke": "speak",
}  # fmt: skip
_NOT_GERUNDS = {
    "anything", "building", "ceiling", "during", "evening", "everything", "morning", "nothing",
    "something", "wedding",
}  # fmt: skip
# Words that would share the key of another: made of mad, here of her, missing of Miss
_ALONE = {
    "his", "her", "hers", "its", "their", "here", "made", "missed", "misses", "missing", "please",
    "pure", "purely", "ragged",
}  # fmt: skip
# Verbs that would share the key of one whose last letter is doubled: hoping of hopping
_OWN_KEYS = dict.fromkeys(("hope", "hopes", "hoped", "hoping"), "hope")
_VOWELS = set("aeiouy")


@lru_cache(maxsize=65536)
def noun_key(word: str) -> str:
    """Return the key of `word` (lower case) as a noun, adjective or adverb."""
    word = word.removesuffix("'s").removesuffix("'")
    if word in _HEAD:
        return _HEAD[word]
    if word.endswith("men") and len(word) > 5 and word not in {"specimen", "regimen", "abdomen"}:
        return word[:-2] + "an"
    for suffix, ending in (("iness", "y"), ("ness", ""), ("ily", "y"), ("ly", "")):
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word.removesuffix(suffix) + ending
    return _HEAD.get(_singular(word), _singular(word))


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def is_gerund(word: str) -> bool:
    """Whether `word` (lower case) is a verb's -ing form."""
    stem = word.removesuffix("ing")
    return stem != word and len(stem) >= 3 and bool(_VOWELS & set(stem)) and (
        word not in _NOT_GERUNDS
    )  # fmt: skip


@lru_cache(maxsize=65536)
def verb_key(word: str) -> str:
    """Return the key of `word` (lower case) as a verb: flapping, flaps, flapped and flap agree."""
    if word in _OWN_KEYS:
        return _OWN_KEYS[word]
    word = _IRREGULAR_VERBS.get(word, word)
    for suffix in ("ing", "ed", "es", "s"):
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= 3 and _VOWELS & set(stem) and not word.endswith("ss"):
            word = stem
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if word.endswith("i"):
        return word[:-1] + "y"
    return word.removesuffix("e")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the key under which any forms of `word` (lower case) agree: smiling, smiles, smile."""
    return word if word in _ALONE else verb_key(noun_key(word))
