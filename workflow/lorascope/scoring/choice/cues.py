"""Words that stand for an option without being its text, each row with an example.

`SYNONYMS` mean the same as the option; `SIGNS` tell it by what it does, is or comes from, and are
consulted only when a reply names no option otherwise. A row holds for an option of that text
alone. `OTHERS` are kinds that a reply may name though no option does.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from lorascope.scoring.choice import lexicon
from lorascope.scoring.choice.mentions import Mention, longest_first
from lorascope.scoring.choice.text import Word, normalise, words


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Cue:
    """Phrases (separated by commas) that stand for `option`, and a reply that uses one."""

    option: str
    phrases: str
    example: str


# By subject: the options of one subject exclude each other
SYNONYMS: dict[str, tuple[Cue, ...]] = {
    "emotion": (
        Cue("happy", "joy, joyful, joyous, joyfully, cheerful, cheery, cheerfulness, glad, "
            "delighted, "
            "delight, elated, elation, merry, gleeful, glee, jolly, overjoyed, thrilled, upbeat, "
            "ecstatic, jubilant, pleased", "The speaker is delighted."),
        Cue("joy", "happy, happiness, cheerful, glad, delighted, delight, elated", "She is glad."),
        Cue("sad", "sorrow, sorrowful, unhappy, unhappily, unhappiness, depressed, depression, "
            "depressing, melancholy, melancholic, gloomy, gloom, grief, grieving, grief-stricken, "
            "miserable, misery, mournful, dejected, heartbroken, heartbreak, despair, despondent, "
            "downcast, tearful, woeful, dismal, downhearted", "A gloomy voice."),
        Cue("angry", "mad, furious, furiously, fury, irritated, irritation, annoyed, annoyance, "
            "enraged, rage, raging, irate, outraged, outrage, wrath, livid, hostile, infuriated, "
            "indignant, indignation, pissed off", "He is in a rage."),
        Cue("disgust", "repulsed, repulsion, repelled, revolted, revulsion, nauseated, nausea, "
            "grossed out, loathing, repugnance, distaste, aversion, sickened, yuck, eww",
            "The tone is one of revulsion."),
        Cue("fear", "afraid, scared, scare, frightened, fright, terrified, terror, panic, "
            "panicked, "
            "panicky, horror, horrified, dread, petrified, alarmed", "A scared person."),
        Cue("surprise", "astonished, astonishment, amazed, amazement, startled, shocked",
            "She is astonished."),
        Cue("neutral", "emotionless, unemotional, matter-of-fact", "An emotionless voice."),
    ),
    "gender": (
        Cue("male", "man, masculine, boy, gentleman, guy, dude, bloke, lad, "
            "fellow", "A gentleman."),
        Cue("female", "woman, feminine, girl, lady, gal, lass", "It is a lady."),
    ),
    "animal": (
        Cue("dog", "puppy, pup, hound, canine, doggy, doggie", "A hound."),
        Cue("cat", "kitten, kitty, feline, tomcat", "It is a kitten."),
        Cue("cow", "cattle, calf, bull, ox, oxen, heifer, bovine", "A calf calling."),
        Cue("sheep", "lamb, ewe, ram, ovine", "A lamb."),
        Cue("pig", "piglet, hog, swine, sow, boar, porcine", "Two hogs."),
        Cue("hen", "chicken, pullet", "A chicken."),
        Cue("rooster", "cockerel, cock, chicken", "A cockerel."),
        Cue("frog", "bullfrog, tree frog, tadpole", "A bullfrog."),
        Cue("crow", "carrion crow", "A carrion crow."),
    ),
    "language": (
        Cue("chinese", "mandarin, cantonese, putonghua", "Mandarin."),
        Cue("spanish", "castilian, castellano", "It is Castilian."),
    ),
    "title": (
        Cue("mr", "mister", "Mister."),
        Cue("ms", "miss", "Miss."),
        Cue("mrs", "missus", "Missus."),
        Cue("madam", "ma'am, madame", "Ma'am."),
        Cue("father", "dad, daddy, papa", "A dad."),
        Cue("mother", "mom, mommy, mum, mummy, mama", "A mum."),
        Cue("aunt", "auntie, aunty", "Auntie."),
        Cue("grandmother", "grandma, granny", "A granny."),
        Cue("grandfather", "grandpa, granddad", "A grandpa."),
    ),
    "country": (
        Cue("united kingdom", "uk, great britain, britain, england", "The U.K."),
        Cue("united states", "usa, us of america, america", "The USA."),
        Cue("vatican city", "vatican, holy see", "The Vatican."),
        Cue("south korea", "republic of korea", "The Republic of Korea."),
        Cue("north korea", "dprk", "The DPRK."),
        Cue("china", "prc, people's republic of china", "The PRC."),
        Cue("netherlands", "holland", "Holland."),
    ),
}  # fmt: skip

SIGNS: dict[str, tuple[Cue, ...]] = {
    "emotion": (
        Cue("happy", "laugh, laughter, laughing, giggle, giggling, chuckle, smile, smiling, "
            "cheering, "
            "grin, celebrating", "Laughter can be heard."),
        Cue("sad", "cry, crying, sob, sobbing, weep, weeping, wept, tears, mourning, lament, wail, "
            "wailing", "The person is weeping."),
        Cue("angry", "growling, cursing, swearing, ranting, scolding", "The man keeps swearing."),
        Cue("disgust", "gag, gagging, retching, vomiting, puking, gross, ew, "
            "ugh", "She is gagging."),
        Cue("fear", "trembling, screaming in terror, shivering", "A trembling voice."),
    ),
    "kin": (
        Cue("male", "mr, mister, sir, father, dad, grandfather, grandpa, son, brother, uncle, "
            "nephew, "
            "husband, boyfriend, king, prince, lord, actor, waiter, businessman, policeman, monk, "
            "schoolboy, groom, landlord, duke, salesman, fireman, grandson, granddad, "
            "granddaddy, grandson, stepfather, godfather, "
            "headmaster, cowboy, bridegroom, widower", "Mr. Smith is speaking."),
        Cue("female", "mrs, ms, miss, madam, ma'am, mother, mom, mum, grandmother, grandma, "
            "daughter, "
            "sister, aunt, niece, wife, girlfriend, queen, princess, actress, waitress, "
            "hostess, nun, "
            "businesswoman, policewoman, schoolgirl, housewife, bride, landlady, duchess, "
            "saleswoman, "
            "granddaughter, granny, stepmother, godmother, stewardess, heroine, widow, "
            "ballerina", "A mother."),
    ),
    "pronoun": (
        Cue("male", "he, him, his", "His voice is deep."),
        Cue("female", "she, her, hers", "She speaks softly."),
    ),
    "given name": (
        Cue("male", "john, james, robert, michael, william, david, richard, joseph, thomas, "
            "charles, "
            "peter, paul, mark, george, henry, daniel, matthew, andrew, tom, jack, bob",
            "The speaker's name is John."),
        Cue("female", "mary, patricia, jennifer, linda, elizabeth, barbara, susan, jessica, sarah, "
            "karen, lisa, nancy, anna, anne, emily, emma, laura, maria, julia, alice, kate, jane",
            "Her name is Anna."),
    ),
    "animal": (
        Cue("dog", "bark, barking, woof, bow-wow, howl, howling, yap, "
            "arf", "The sound is barking."),
        Cue("cat", "meow, meowing, mew, miaow, miaou, purr, purring, hiss", "A loud meow."),
        Cue("cow", "moo, mooing, lowing", "Mooing can be heard."),
        Cue("sheep", "bleat, bleating, baa, baaing", "A bleat."),
        Cue("pig", "oink, oinking, grunt, grunting, squeal, snort", "It oinks."),
        Cue("hen", "cluck, clucking, cackle, cackling", "Clucking noises."),
        Cue("rooster", "crowing, cock-a-doodle-doo, cockadoodledoo", "Cock-a-doodle-doo!"),
        Cue("frog", "croak, croaking, ribbit, amphibian", "Ribbit, ribbit."),
        Cue("crow", "caw, cawing, corvid", "It caws."),
    ),
    "language": (
        Cue("german", "germany, from berlin", "The speaker is from Germany."),
        Cue("spanish", "spain, mexico, argentina", "From Spain."),
        Cue("french", "france", "The language of France."),
        Cue("italian", "italy", "The language of Italy."),
        Cue("japanese", "japan", "It is spoken in Japan."),
        Cue("korean", "korea", "Korea."),
        Cue("chinese", "china, taiwan", "China."),
        Cue("english", "england, britain, united kingdom, united states, america, american",
            "Someone from England."),
    ),
    "diet": (
        Cue("herbivore", "plants, plant eater, plant-eating, plant-based, grass, grazer, grazes, "
            "vegetarian", "It eats plants."),
        Cue("carnivore", "meat, meat eater, meat-eating, flesh, predator", "A meat eater."),
        Cue("omnivore", "both plants and animals, both plants and meat, plants and animals, "
            "plants and meat, meat and plants, animals and plants, anything, everything",
            "It eats both plants and animals."),
        Cue("insectivore", "insects, bugs, insect eater", "Mostly insects."),
    ),
    "reproduction": (
        Cue("viviparous", "live birth, live young, live offspring, live babies, live-bearing, "
            "gives birth, giving birth, live bearer", "It gives birth to live young."),
        Cue("oviparous", "eggs, egg-laying, egg layer, lays eggs, hatch, "
            "hatching", "It lays eggs."),
        Cue("marsupial reproduction", "pouch, marsupial", "It has a pouch."),
        Cue("asexual reproduction", "asexually, asexual, budding, cloning", "It splits, "
            "asexually."),
    ),
    "locomotion": (
        Cue("swimming", "swimmer", "A swimmer."),
        Cue("flying", "flyer, flier", "It is a flier."),
        Cue("walking", "walker, on foot", "On foot."),
        Cue("running", "runner", "A fast runner."),
        Cue("hopping", "hopper, leaping, jumping", "It leaps."),
        Cue("climbing", "climber", "A climber."),
        Cue("slithering", "crawling on its belly", "It crawls on its belly."),
    ),
}  # fmt: skip

# Kinds outside the usual options: their noises are not those of an option
OTHERS: dict[str, str] = {
    "animal": "horse, goat, donkey, bird, duck, goose, turkey, sparrow, pigeon, parrot, owl, "
    "eagle, "
    "wolf, fox, bear, lion, tiger, monkey, elephant, mouse, rat, rabbit, snake, toad, insect, bee, "
    "fly, cricket, human, baby, child, car, engine, machine, siren, raven, seagull, coyote, seal",
    "kin": "baby, child, infant, robot",
    "pronoun": "baby, child, infant, robot",
}
# What an option is one of: "a bird crowing" tells of no other kind than the rooster
KINDS: dict[str, str] = {"rooster": "bird", "hen": "bird", "crow": "bird"}
_LANGUAGES = _set(
    "english german french spanish italian japanese korean chinese mandarin portuguese russian "
    "dutch arabic hindi turkish polish swedish vietnamese thai greek"
)
_LONGEST = 4  # words of the longest phrase


def phrase_key(phrase: str) -> str:
    """Return the key of a phrase: the keys of its words in one string."""
    return "".join(lexicon.stem(word.lower) for word in words(normalise(phrase)))


def _keys(phrases: str) -> frozenset[str]:
    return frozenset(phrase_key(phrase) for phrase in phrases.split(", "))


def _index(table: dict[str, tuple[Cue, ...]]) -> dict[str, list[tuple[str, frozenset[str]]]]:
    """Key of an option's text -> (subject, keys of the phrases) of its rows."""
    found: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for subject, rows in table.items():
        for row in rows:
            keys = _keys(row.phrases)
            found.setdefault(phrase_key(row.option), []).append((subject, keys))
    return found


_FEMALE = phrase_key("female")
_NO_MEN = _set("human german roman norman ottoman talisman shaman caiman")
_SYNONYM_INDEX = _index(SYNONYMS)
_SIGN_INDEX = _index(SIGNS)
_OTHER_KEYS = {subject: _keys(kinds) for subject, kinds in OTHERS.items()}
_KIND_KEYS = {phrase_key(option): _keys(kinds) for option, kinds in KINDS.items()}
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stand:
    """What stands for the option `letter`: the keys of its phrases, by subject."""

    letter: str
    subject: str
    keys: frozenset[str]
    others: frozenset[str]  # kinds that are none of the option's
    female: bool


@lru_cache(maxsize=4096)
def stands(options: tuple[tuple[str, str], ...], signs: bool) -> tuple[Stand, ...]:
    """Return the synonyms of the options, or their signs."""
    index = _SIGN_INDEX if signs else _SYNONYM_INDEX
    return tuple(
        Stand(letter, subject, keys, _others(subject, key) if signs else _NONE, key == _FEMALE)
        for letter, key in ((letter, phrase_key(text)) for letter, text in options)
        for subject, keys in index.get(key, ())
    )


def find_stands(
    text: str, options: tuple[tuple[str, str], ...], signs: bool = False
) -> list[Mention]:
    """Return the mentions of synonyms of the options in `text`, or of their signs."""
    rows = [row for row in stands(options, signs) if not _names_other(text, row.others)]
    if not rows:
        return []
    found = [
        Mention(start, end, None, row.letter, True)
        for key, start, end in _windows(text)
        for row in rows
        if (key in row.keys or _ends_as(key, row)) and _tells(text, row.subject, start)
    ]
    # A word that stands for two options is told from none
    spans = Counter((m.start, m.end) for m in found)
    return longest_first([m for m in found if spans[m.start, m.end] == 1])


def find_persons(text: str, options: tuple[tuple[str, str], ...]) -> list[Mention]:
    """Return the mentions of "man", "woman", ...: where options are genders, they say as much."""
    return [m for m in find_stands(text, options) if m] if _subjects(options) == {"gender"} else []


# Who feels something, where a clause begins
_FEELER = re.compile(
    r"(?i)(?:\A|[,;:.]\s+(?:and\s+)?|\b(?:and|while|whereas)\s+)"
    r"(he|she|one|another|(?:the|an?)\s+(?:other|second"
    r"|first|man|woman|boy|girl|child|speaker|person))(?:'s|\s+(?:is|was|sounds|seems|feels))?\s+(?=\w)"
)


_ADDS = re.compile(r"(?i)\band\s+\Z")


def find_feelings(text: str, options: tuple[tuple[str, str], ...]) -> list[Mention]:
    """Return the synonyms told of one of two persons: "he is angry and the woman is afraid".

    What is told of one person counts too where "and" adds it: "she is angry, and she is afraid".
    """
    if _subjects(options) != {"emotion"}:
        return []
    feelers = list(_FEELER.finditer(text))
    persons = len({f[1].lower() for f in feelers} - {"one"}) + sum(f[1] == "one" for f in feelers)
    added = any(_ADDS.search(text[: feeler.start(1)]) for feeler in feelers[1:])
    if persons < 2 and not added:
        return []
    starts = {feeler.end() for feeler in feelers}
    return [mention for mention in find_stands(text, options) if mention.start in starts]


@lru_cache(maxsize=4096)
def _subjects(options: tuple[tuple[str, str], ...]) -> set[str]:
    return {row.subject for row in stands(options, False)}


def are_languages(options: tuple[tuple[str, str], ...]) -> bool:
    """Whether each option is the name of a language."""
    return all(text.strip().lower() in _LANGUAGES for _, text in options)


def _windows(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the key, start and end of each run of up to four words of `text`."""
    tokens = words(text)
    keys = [lexicon.stem(word.lower) for word in tokens]
    for first in range(len(tokens)):
        for size in range(1, min(_LONGEST, len(tokens) - first) + 1):
            if size > 1 and _is_apart(text, tokens[first + size - 2], tokens[first + size - 1]):
                break
            last = tokens[first + size - 1]
            yield "".join(keys[first : first + size]), tokens[first].start, last.end


def _is_apart(text: str, word: Word, after: Word) -> bool:
    """Whether a lone letter keeps two words apart: "U.K." is one word, "C, row" is no crow."""
    lone = 1 in (len(word.lower), len(after.lower))
    return lone and text[word.end : after.start] not in (".", "-", "'")


def _ends_as(key: str, row: Stand) -> bool:
    """Whether the word is a compound of man or woman, as in "chairwoman"."""
    if row.subject != "kin" or key in _NO_MEN:
        return False
    return key.endswith("woman") if row.female else key.endswith("man") and key[-5:] != "woman"


def _others(subject: str, option: str) -> frozenset[str]:
    """The kinds of the subject that are no option of the published data, nor above `option`."""
    return _OTHER_KEYS.get(subject, _NONE) - _KIND_KEYS.get(option, _NONE)


def _names_other(text: str, others: frozenset[str]) -> bool:
    return bool(others) and any(lexicon.stem(word.lower) in others for word in words(text))


def _tells(text: str, subject: str, start: int) -> bool:
    """Whether a word at `start` stands where it tells something of who is asked about."""
    before = text[:start]
    if subject == "kin":
        return not re.search(r"(?i)\b(?:his|her|their|my|your|our|whose)\s+(?:\w+\s+)?$", before)
    if subject == "pronoun":
        return bool(re.search(r"(?:^|[.!?\n:]\s*|(?i:\bsounds like\s+))$", before))
    if subject == "given name":
        named = r"(?:^|(?i:\bname is|\bname's|\bnamed|\bcalled|\bspeaker is|\bspeaker,))[\s\"']*$"
        return text[start].isupper() and bool(re.search(named, before))
    return True
