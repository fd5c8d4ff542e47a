"""What every experiment has, and the settings of one whose predictions were made elsewhere."""

from typing import Annotated, Any

from pydantic import Field

from lorascope.study.declarations import Mode
from lorascope.study.scalings import LoraScaling
from lorascope.study.settings import (
    MOST_NAME,
    MOST_SCALING,
    MOST_STRENGTH,
    READ,
    Settings,
    Text,
)

HARMLESS = "settings that decide a result are in its fingerprint by their values"


Label = Annotated[str, Field(min_length=1, max_length=MOST_NAME)]


class CommonSettings(Settings):
    """What an experiment has, whoever answers its questions."""

    id: Text = Field(
        description="The experiment's ID, key of everything downstream. In a grid, a template such "
        "as SKR-LoRA-SF-{lora_scaling}-B{batch_size}."
    )
    model: str | None = Field(None, description="Name of a model.")
    adapter: str | None = Field(None, description="Name of an adapter.")
    dataset: str = Field(description="Name of a dataset of this study.")
    lora_scaling: LoraScaling | None = Field(
        None,
        description="Absolute s in W x + s B A x. Null is the adapter's own alpha / rank; 0 is the "
        "base model. Also the name of a profile of the study, or a profile: scalings of parts of "
        "the model, as {default: 1, layers.0-7: 0, q_proj: 2} (docs/adapter.md).",
    )
    strength: Annotated[float, Field(ge=-MOST_STRENGTH, le=MOST_STRENGTH), READ] | None = Field(
        None,
        description="Of an adapter that is more than W x + s B A x (DoRA, modules_to_save, "
        "biases, a fully fine-tuned checkpoint): t in W + t (W' - W) for every weight. 0 is the "
        "base model, 1, which null is, the adapter; below, between and beyond are possible.",
    )
    mode: Mode | None = Field(
        None,
        description="How items are answered: generate (a text), choose (the option of the highest "
        "log-likelihood), loss (the log-likelihood of a text, as perplexity) or drift (how far the "
        "adapter moves the distributions of next tokens, see docs/adapter.md). Null is what the "
        "dataset's items ask for.",
    )
    scorer: str | dict[str, Any] | None = Field(
        None,
        description="How responses are judged: a scorer's name, or a mapping of name and the "
        "scorer's own keys; null is the first scorer that judges such answers.",
    )
    table: bool = Field(
        True, description="Whether the table shows the experiment (the charts always do)."
    )


class ImportedSettings(CommonSettings):
    """An experiment whose predictions were made elsewhere: read, scored and compared here."""

    model: Label | None = Field(
        None,
        description="What answered, in a word: for tables and charts alone. Null is the "
        "experiment's ID.",
    )
    adapter: Label | None = Field(
        None, description="Its adapter, in a word: for tables and charts alone."
    )
    lora_scaling: Annotated[float, Field(ge=-MOST_SCALING, le=MOST_SCALING), READ] | None = Field(
        None,
        description="The scaling it answered under, by which charts place it. Null: not known; a "
        "chart over scalings then leaves it out.",
    )
    predictions: dict[str, Any] = Field(
        description="Where its predictions lie, and in which format: see the tables of predictions."
    )
