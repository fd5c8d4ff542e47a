"""The keys of a table: which column is the question, which the options, which the answer."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from lorascope.benchmarks.settings import ClipDatasetSettings
from lorascope.benchmarks.table.columns import check_template, named
from lorascope.study.settings import (
    BY_KIND,
    Count,
    DataSettings,
    Few,
    FilePath,
    HubSource,
    Integer,
    LocalPath,
    Name,
    Settings,
    Text,
)

HARMLESS = "settings that decide a result are in its fingerprint by their values"


def _in_order(value: Any) -> Any:
    """Return a list as a tuple, whose order counts."""
    return tuple(value) if isinstance(value, list) else value


def _says(settings: Settings, key: str) -> bool:
    """Return whether a key has another value than by itself; a study may be printed whole."""
    field = type(settings).model_fields[key]
    return bool(getattr(settings, key) != field.get_default(call_default_factory=True))


def _only(*places: str) -> AfterValidator:
    """Return a check that a template has no other places, and one of them."""

    def check(spec: str) -> str:
        found = named(check_template(spec)) if "{" in spec else []
        if not found or not {*found} <= {*places}:
            listed = " and ".join(f"{{{place}}}" for place in places)
            raise ValueError(f"{spec!r} has to hold {listed}, and no other place")
        return spec

    return AfterValidator(check)


def _one_or_many(one: str, many: str, message: str) -> Discriminator:
    """Return what tells a text from a list, or from keys."""

    def kind(value: Any) -> str | None:
        if isinstance(value, str):
            return one
        return many if isinstance(value, list | tuple | dict | Settings) else None

    return Discriminator(kind, custom_error_type="source", custom_error_message=message)


Spec = Annotated[Text, AfterValidator(check_template)]
"""A column's name, or a template over columns."""
Blank = Annotated[str, Field(max_length=1000)]
Texts = Annotated[
    tuple[Text, ...], Field(min_length=1, max_length=1000), BeforeValidator(_in_order)
]
Patterns = Annotated[
    Annotated[Text, Tag("<one>")]
    | Annotated[list[Text], Field(min_length=1, max_length=1000), Tag("<many>")],
    _one_or_many("<one>", "<many>", "a pattern, or a list of patterns"),
]
Columns = Annotated[
    Annotated[Text, Tag("<one>")] | Annotated[Texts, Tag("<many>")],
    _one_or_many("<one>", "<many>", "the name of a column, or a list"),
]


class CategoryColumn(Settings):
    """A column that says each row's category."""

    column: Text = Field(description="The column.")


Category = Annotated[
    Annotated[Name, Tag("<one>")] | Annotated[CategoryColumn, Tag("<many>")],
    _one_or_many("<one>", "<many>", "a name, or a mapping with the key column"),
]


class FewShot(Settings):
    """Examples that stand before every question, the same ones everywhere."""

    model_config = ConfigDict(serialize_by_alias=True)

    source: FilePath | None = Field(
        None,
        description="A local file of examples with the same columns. Without source and files they "
        "are drawn from the rows themselves, and those rows are not asked.",
    )
    files: Patterns | None = Field(
        None, description="Pattern of the examples' files in the folder or repository instead."
    )
    count: Few = Field(5, description="How many.")
    seed: Integer = Field(0, description="Which ones, by a hash of their places.")
    form: Literal["text", "turns"] = Field(
        "text",
        alias="as",
        description="text is in front of the question; turns are those of a chat, which needs a "
        "chat template.",
    )
    separator: Blank = Field("\n\n", description="What follows each example that is text.")


class TableKeys(Settings):
    """Which columns are what, for items and for training alike."""

    files: Patterns | None = Field(
        None,
        description="Files of a folder or of the hub: a pattern such as test-*.parquet (* stands "
        "for / too), or a list of patterns. Null is the only file there is.",
    )
    question: Spec | None = Field(
        None,
        description="A column, or a template such as 'Q: {question}\\nA:' over columns (dots lead "
        "into nested ones); {options} lists the options. With clip, a text with blanks that is no "
        "column is the question of every row.",
    )
    options: Columns | None = Field(
        None,
        description="A column that holds a list (or a mapping of letters to texts), or a list of "
        "columns, one for each option.",
    )
    letters: Columns | None = Field(
        None,
        description="A column that holds the letters of the options, or a list of letters. Null is "
        "a, b, c, ... or the keys of a mapping.",
    )
    answer: Text | None = Field(
        None,
        description="A column. With options, the right one by its letter, its number from 0, its "
        "text, or a list of 0 and one 1; digits in quotes are letters where letters are digits. "
        "Otherwise a text, or a list of texts that all count.",
    )
    answer_by: Literal["letter", "number", "text"] | None = Field(
        None,
        description="How answer says the right option. Null is the way that fits all rows.",
    )
    option_format: Annotated[Text, _only("letter", "text")] = Field(
        "({letter}) {text}", description="How {options} writes each option."
    )
    option_separator: Blank = Field(" ", description="What {options} writes between options.")
    continuation: Literal["text", "letter"] = Field(
        "text",
        description="What of an option follows the question in the mode choose, in examples and in "
        "training.",
    )
    text: Spec | None = Field(
        None,
        description="A column or template: a text whose likelihood is asked, in the mode loss, "
        "after the question if there is one.",
    )
    clip: Spec | None = Field(
        None,
        description="A column or template: the path of the clip that the question is about, for "
        "models of audio. Without question it is transcribed.",
    )
    clips: FilePath | None = Field(
        None,
        description="Folder that the paths of clips start from. Null is the folder of the source.",
    )
    id: Text | None = Field(None, description="A column. Null is the number of the row.")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterable[str]:
        """Yield what of the keys has no meaning, the key first."""
        for key in ("letters", "answer_by", "option_format", "option_separator", "continuation"):
            if _says(self, key) and self.options is None:
                yield f"{key}: has no meaning without options; give options, or leave it out"
        if isinstance(self.options, tuple) and len(self.options) == 1:
            yield (
                "options: one column is not enough; list the column of each option, or name alone "
                "the column that holds them all"
            )
        if self.text:
            for key in ("options", "answer", "clip"):
                if getattr(self, key) is not None:
                    yield (
                        f"{key}: does not go with text, whose likelihood is asked; leave one of "
                        "them out"
                    )
        elif self.answer is None:
            yield (
                "answer: is missing; name the column of the right answer, or give text for the "
                "mode loss"
            )
        if self.question is None and self.text is None and self.clip is None:
            yield "question: is missing; name a column, or give a template such as 'Q: {column}'"
        if self.clip is None and self.clips is not None:
            yield "clips: has no meaning without clip; give clip, or leave it out"
        source = getattr(self, "source", None)
        if self.clips is not None and isinstance(source, HubSource):
            yield "clips: a data set of the hub brings its clips along; leave it out"


_SOURCE = (
    "A file of rows (.jsonl, .json with a list of objects, .csv, .tsv or .parquet, or .txt, whose "
    "paragraphs, or lines where none is blank, are the column text), a folder of such files, or a "
    "data set on the Hugging Face hub."
)
Source = Annotated[LocalPath | Annotated[HubSource, Tag("<hub>")], BY_KIND]


class TableDataset(TableKeys, ClipDatasetSettings):
    """Questions of your own: rows of a file, whose columns are mapped."""

    source: Source = Field(description=_SOURCE)
    delimiter: Blank = Field(
        " ",
        description="What stands between question and answer, in examples and in the modes choose "
        "and loss.",
    )
    category: Category = Field(
        "table", description="Name in the tables for all rows, or {column: the column of names}."
    )
    items: Count | None = Field(
        None, description="Keep only so many rows, drawn by a hash of their ids. Null keeps all."
    )
    system: Text | None = Field(
        None, description="What the system says before, for models with a chat template."
    )
    few_shot: FewShot | None = Field(None, description="Examples before every question.")

    def _problems(self) -> Iterable[str]:
        yield from super()._problems()
        if self.clip is None:
            for key in ("audio", "encode_jobs"):
                if _says(self, key):
                    yield f"{key}: has no meaning without clip; give clip, or leave it out"
        if self.system is not None and self.question is None and self.clip is None:
            yield "system: has no meaning where nothing is asked; give question, or leave it out"
        if self.few_shot is not None:
            yield from self._problems_of_examples(self.few_shot)

    def _problems_of_examples(self, few_shot: FewShot) -> Iterable[str]:
        if self.text or self.clip:
            what = "clip, which examples would need" if self.clip else "text, which has no answer"
            yield f"few_shot: does not go with {what}; leave it out"
        if few_shot.source and few_shot.files:
            yield "few_shot.files: is about the source's own files; leave it or few_shot.source out"
        if few_shot.source and isinstance(self.source, HubSource):
            yield (
                "few_shot.source: is no part of the data set of the hub; choose examples of it by "
                "few_shot.files"
            )
        if few_shot.form == "turns" and _says(few_shot, "separator"):
            yield "few_shot.separator: has no meaning with as: turns; leave it out"


class TableData(TableKeys, DataSettings):
    """Examples of your own: rows of a file, question and right answer (or text alone)."""

    source: Source = Field(description=_SOURCE)
    delimiter: Blank = Field(
        "",
        description="What the response to learn begins with; as that of a dataset in which the "
        "model is asked in the mode choose or loss, without a chat template.",
    )
