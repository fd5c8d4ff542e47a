"""What a table asks, guessed from its columns: the keys of a dataset, and each guess in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lorascope.benchmarks.table.columns import is_template
from lorascope.benchmarks.table.columns import named as places
from lorascope.benchmarks.table.files import Row
from lorascope.errors import UserError, shown
from lorascope.inspecting.new.answers import Kind, kind_of, words_of
from lorascope.inspecting.new.columns import Column, listed, named, require
from lorascope.inspecting.new.names import (
    ANSWERS,
    CATEGORIES,
    CLIPS,
    CONTEXTS,
    IDS,
    QUESTIONS,
    TEXTS,
    TRANSCRIPTS,
)
from lorascope.inspecting.new.options import Options, find_options, find_right

HARMLESS = "guesses, for a study that a user reads before it runs"

MOST_CATEGORIES = 100


@dataclass(frozen=True)
class Named:
    """The columns, and the folder of clips, that the user named; None where they are guessed."""

    question: str | None = None
    options: str | None = None
    answer: str | None = None
    answer_by: str | None = None
    text: str | None = None
    clip: str | None = None
    clips: str | None = None
    id: str | None = None
    category: str | None = None


@dataclass
class Guess:
    """A dataset of the benchmark table: its keys, each with words on where it comes from.

    ``words`` is how many words an answer usually has.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    kind: Kind = "nothing"
    words: int = 0

    def add(self, key: str, value: Any, words: str = "") -> None:
        """Note a key of the dataset, and in words where it comes from."""
        self.keys[key], self.said[key] = value, words


class Guesser:
    """Guesses about one table, for a model that hears clips or not, and is asked in turns or not.

    ``told`` is what a model that hears is told where the table has no question; "" for one that
    takes no questions.
    """

    def __init__(self, file: Path, columns: Mapping[str, Column], rows: Sequence[Row]) -> None:
        self.file, self.columns, self.rows = file, columns, rows
        self.used: set[str] = set()
        self.guess = Guess()

    def run(self, given: Named, *, hears: bool, chat: bool, told: str = "") -> Guess:
        """Return the guess; UserError, with the columns there are, where one is not possible."""
        self.given, self.hears, self.chat, self.told = given, hears, chat, told
        self._check_given()
        if hears:
            self._clip()
        options = self._options()
        question = self._question(options)
        if options:
            self._right(options)
        elif given.text or not self._answer(question):
            self._text()
        self._ask(question, options)
        self._rest()
        return self.guess

    def _check_given(self) -> None:
        """Refuse columns that are none, and claim those of the table that are named."""
        for option, value in vars(self.given).items():
            if value is None or option in ("clips", "answer_by"):
                continue
            names = value.split(",") if option == "options" else places(value)
            for name in (name.strip() for name in names):
                if (option, name) != ("question", "options"):
                    flag = f"--{option.replace('_', '-')}"
                    self.used.add(require(self.columns, name, flag, self.file).name)

    @property
    def _is_told_nothing(self) -> bool:
        return self.hears and not self.told

    def _free(self) -> list[Column]:
        return [column for column in self.columns.values() if column.name not in self.used]

    def _texts(self, names: Sequence[str]) -> list[Column]:
        return named((column for column in self._free() if column.is_text), names)

    def _refuse(self, what: str, remedy: str) -> NoReturn:
        raise UserError(
            f"{self.file}: cannot tell {what}; it has the columns {listed(self.columns)}; {remedy}"
        )

    # ---------------------------------------------------------------------------------- clips

    def _clip(self) -> None:
        clips = [column for column in self._free() if column.is_clip]
        found = [self.columns[self.given.clip]] if self.given.clip else named(clips, CLIPS) or clips
        if not found or not found[0].is_text:
            what = f" ({found[0].name} holds {found[0].kind})" if found else ""
            remedy = "name the column of their paths by --clip"
            self._refuse(f"the clips that the model is to hear{what}", remedy)
        self.used.add(found[0].name)
        self.guess.add("clip", found[0].name, f"column `{found[0].name}`")
        folder, first = self._folder(found[0]), found[0].present[0]
        if not (folder / first).exists():
            raise UserError(
                f"{self.file}: column {found[0].name}: the clip {shown(first)} is not in {folder}; "
                "name the folder of the clips by --clips"
            )
        if folder != self.file.parent:
            self.guess.add("clips", str(folder), "the folder they are in")

    def _folder(self, clip: Column) -> Path:
        """Return the folder of the clips: the table's, or one beside it that has the first."""
        beside = self.file.parent
        if self.given.clips:
            return Path(self.given.clips)
        folders = [beside, *(beside / name for name in ("clips", "audio", "wav", "wavs"))]
        return next((path for path in folders if (path / clip.present[0]).exists()), beside)

    # --------------------------------------------------------------------------------- options

    def _options(self) -> Options | None:
        """Return the options, if the table has some that can be right."""
        if (self.given.text and not self.given.options) or self._is_told_nothing:
            return None
        options = find_options(self.columns, self.rows, self.given.options)
        if options is None or (not self.given.options and self._are_answers(options)):
            return None
        self.used |= options.used
        key = options.key
        words = f"column `{key}`" if isinstance(key, str) else f"columns {', '.join(key)}"
        self.guess.add("options", key, f"{words} ({options.kind})")
        if options.letters:
            self.guess.add("letters", options.letters, f"column `{options.letters}`")
        return options

    def _are_answers(self, options: Options) -> bool:
        """Return whether what looks like options are texts that all count as answers."""
        if not isinstance(options.key, str) or not named([self.columns[options.key]], ANSWERS):
            return False
        return self.given.answer == options.key or not find_right(
            self.columns, options, None, self.given.answer_by
        )

    def _right(self, options: Options) -> None:
        found = find_right(self.columns, options, self.given.answer, self.given.answer_by)
        if found is None:
            self._refuse(
                "which option is right",
                "name by --answer a column with its letter, its number from 0, its text, or a list "
                "of zeros with 1 at it (and the options by --options)",
            )
        self.used.add(found.column)
        if found.letters:
            self.guess.add("letters", found.letters, "as the answers count from 1")
        self.guess.add("answer", found.column, f"column `{found.column}` ({found.way})")
        if found.answer_by:
            self.guess.add("answer_by", found.answer_by)
        self.guess.kind, self.guess.words = "options", 1

    # ------------------------------------------------------------------- questions and answers

    def _question(self, options: Options | None) -> str | None:
        """Return the column of the question, or the template given; None where there is none."""
        if self._is_told_nothing:
            return None
        if self.given.question or self.given.text:
            return self.given.question
        found = self._texts(QUESTIONS)
        if not found and not self.hears and (options or self.given.answer or self._answers()):
            found = self._texts(TEXTS)  # a text that something is said of
        if found:
            self.used.add(found[0].name)
            return found[0].name
        if not self.hears and (options or self.given.answer or self._answers()):
            self._refuse("the questions", "name their column by --question")
        return None

    def _answers(self, names: Sequence[str] = ANSWERS) -> list[Column]:
        return named((c for c in self._free() if c.is_plain or c.is_texts), names)

    def _answer(self, question: str | None) -> bool:
        """Note the answers; return whether there are any, or could be none: a text alone."""
        heard_alone = self.hears and question is None
        given = self.given.answer
        found = (
            [self.columns[given]]
            if given
            else self._answers(TRANSCRIPTS if heard_alone else ANSWERS)
        )
        if not found and not self.hears and question is None:
            return False
        if not found:
            more = "" if self.hears else ", or a text whose likelihood is asked by --text"
            self._refuse("the answers", f"name their column by --answer{more}")
        column = found[0]
        if not column.is_plain and not column.is_texts:
            self._refuse(
                f"the answers: column {column.name} holds {column.kind}, and not in every row an "
                "answer",
                "name another one by --answer, or fill it in",
            )
        self.used.add(column.name)
        self.guess.kind = "transcripts" if heard_alone else kind_of(column)
        self.guess.words = words_of(column)
        kind = self.guess.kind if self.guess.kind == "numbers" else column.kind
        self.guess.add("answer", column.name, f"column `{column.name}` ({kind})")
        return True

    def _text(self) -> None:
        """Note the text whose likelihood is asked."""
        given, texts = self.given.text, [column for column in self._free() if column.is_text]
        found = given or next((c.name for c in named(texts, TEXTS)), None)
        if found is None and len(texts) == 1 and not texts[0].is_clip:
            found = texts[0].name
        if found is None:
            self._refuse(
                "what is asked",
                "name the columns by --question and --answer (and --options), or a text whose "
                "likelihood is asked by --text",
            )
        self.used.add(found)
        self.guess.kind = "nothing"
        words = f"template {found}" if is_template(found) else f"column `{found}`"
        self.guess.add("text", found, f"{words} (its likelihood is asked)")

    # ------------------------------------------------------------------------- how it is asked

    def _ask(self, question: str | None, options: Options | None) -> None:
        """Note what is asked, if anything is."""
        if question is None:
            if self.hears and self.told and not options:
                self.guess.add("question", self.told, "what is asked of every clip")
            elif options:
                self.guess.add("question", "{options}", "nothing else is asked")
        elif is_template(question):
            self.guess.add("question", question, "as given")
        else:
            self.guess.add("question", *self._template(self.columns[question], options))

    def _template(self, question: Column, options: Options | None) -> tuple[str, str]:
        """Return what is asked, a column or a template, and its columns in words."""
        given = self.given.question is not None
        before = [] if given or self.guess.kind == "nothing" else self._texts(CONTEXTS)[:1]
        if not given and named([question], ("instruction",)):
            before, question = [question], next(iter(self._texts(("input",))), question)
            before = [column for column in before if column is not question]
        self.used |= {column.name for column in (*before, question)}
        # A prompt is whole, and says by itself that an answer is due.
        bare = self.chat or self.hears or bool(named([question], ("prompt",)))
        place = f"{{{question.name}}}"
        lines = [f"{{{column.name}}}" for column in before]
        lines += [place if bare else f"Question: {place}"]
        lines += ["{options}"] if options and not _holds(question, options) else []
        lines += [] if bare else ["Answer:"]
        words = " and ".join(f"`{column.name}`" for column in (*before, question))
        template = "\n".join(lines)
        return (
            question.name if template == place else template,
            f"column{'s'[: len(before)]} {words}",
        )

    def _rest(self) -> None:
        """Note the IDs and the categories."""
        ids = [column for column in self._free() if column.is_unique]
        kinds = [column for column in self._free() if column.is_text and _repeats(column)]
        for key, found in (("id", named(ids, IDS)), ("category", named(kinds, CATEGORIES))):
            name = getattr(self.given, key) or next((column.name for column in found), None)
            if name:
                self.used.add(name)
                value = {"column": name} if key == "category" else name
                self.guess.add(key, value, f"column `{name}`")


def _repeats(column: Column) -> bool:
    count = len({*column.values})
    return None not in column.values and count <= min(MOST_CATEGORIES, len(column.values) // 2)


def _holds(question: Column, options: Options) -> bool:
    """Return whether every question has its options in it."""
    offers = zip(question.values, options.offers("answer"), strict=True)
    return all(text in str(asked) for asked, offer in offers for text in offer.texts)
