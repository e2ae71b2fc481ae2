"""One warning where a chat model is given texts."""

import logging
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl.data_utils import is_conversational

logger = logging.getLogger(__name__)


class TextPromptsWarning(TrainerCallback):
    """Says at the start of training that prompts are texts though the model has a chat template.

    Whoever means them so removes it: `trainer.remove_callback(TextPromptsWarning)`.

    Args:
        dataset: trained on.
        has_template: whether the model has a chat template.
    """

    def __init__(self, dataset: Any, *, has_template: bool) -> None:
        known = isinstance(dataset, Dataset) and "prompt" in dataset.column_names
        self.applies = known and has_template and not is_conversational(dataset[0])

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.applies and state.is_world_process_zero:
            logger.warning(
                "the prompts are plain text, though the model has a chat template: it is given "
                "them as they stand, without roles, and answers as a base model would; set "
                "chat_prompts: true (in a script, make each prompt a list of messages) to have it "
                "answer as in a chat, or false to leave this warning out."
            )
