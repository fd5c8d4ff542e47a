"""The audio half of Phi-4-multimodal's processor: its other half, for images, needs torchvision."""

from typing import Any

from transformers.feature_extraction_utils import FeatureExtractionMixin
from transformers.models.phi4_multimodal.processing_phi4_multimodal import Phi4MultimodalProcessor
from transformers.processing_utils import ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase


class Phi4AudioProcessor(Phi4MultimodalProcessor):
    """Phi-4-multimodal's processor of clips and text.

    transformers loads what the names of the arguments ask for.
    """

    def __init__(
        self,
        audio_processor: FeatureExtractionMixin,
        tokenizer: PreTrainedTokenizerBase,
        **named: Any,
    ) -> None:
        # A tokenizer that lacks one raises AttributeError; Prompter says so to the user.
        self.audio_token = getattr(tokenizer, "audio_token", None)
        self.audio_token_id = getattr(tokenizer, "audio_token_id", None)
        ProcessorMixin.__init__(self, audio_processor, tokenizer, **named)
