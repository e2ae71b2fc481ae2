"""The model with its card, saved and pushed to the hub: nothing of the run's records is."""

import logging
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from accelerate.utils import is_peft_model
from huggingface_hub import HfApi
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import HubStrategy
from transformers.utils import PushInProgress

from scgrpo.files import scratch_of, write_atomically
from scgrpo.mistakes import on_one_line
from scgrpo.trainer.card import model_card
from scgrpo.trainer.describing import describe
from scgrpo.trainer.recording import RecordingTrainer

MODEL_FILES = (
    *("README.md", "config.json", "generation_config.json"),
    *("model*.safetensors*", "pytorch_model*.bin*", "adapter_*"),
)
"""What of a checkpoint is the model; its tokenizer is saved anew."""

logger = logging.getLogger(__name__)


class PublishingTrainer(RecordingTrainer):
    """Writes the card into each folder that holds the model, and pushes the model alone.

    TRL pushes its `output_dir`, where the records of the run lie as well.
    """

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call=True)
        self._write_card(Path(output_dir or self.args.output_dir))
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub("Model save")

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """In place of TRL's, whatever names it is given: the run has its own."""
        self._write_card(Path(self.args.output_dir))

    def _write_card(
        self,
        folder: Path,
        model_name: str | None = None,
        dataset_name: str | None = None,
        tags: Sequence[str] | str | None = None,
    ) -> None:
        if not self.is_world_process_zero():
            return
        told = {"name": model_name, "task": dataset_name}
        card = model_card(
            describe(self.args, self.recorder.facts) | {k: v for k, v in told.items() if v},
            self.recorder.folder,
            self.args.method,
            steps=self.state.global_step,
            adapter=is_peft_model(self.accelerator.unwrap_model(self.model)),
            tags=[tags] if isinstance(tags, str) else list(tags or ()),
        )
        write_atomically(folder / "README.md", card)

    # --- the hub ---

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """As in transformers: make the repository, or find it.

        Raises:
            OSError: where the hub refuses it or cannot be reached.
        """
        # Not every transformers that is admitted takes `private` here.
        asked = {} if private is None else {"private": private}
        try:
            super().init_hf_repo(token=token, **asked)
        except Exception as error:  # the network fails in dozens of kinds
            name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
            raise OSError(
                f"no repository {name!r} can be had on the hub ({on_one_line(error)}); log in with "
                "`hf auth login`, set hub_model_id, or leave out push_to_hub."
            ) from error

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **card: Any,
    ) -> Any:
        """Push the model with its card.

        Args:
            commit_message: of the commit.
            blocking: whether to wait until all is there.
            token: in place of `args.hub_token`.
            revision: branch, in place of `args.hub_revision`.
            private: whether a repository that is made now is, in place of `args.hub_private_repo`.
            card: `model_name`, `dataset_name` and `tags` for the card, as in TRL.

        Returns:
            The commit, or its future where it is not waited for; None but in the main process.

        Raises:
            OSError: where the hub refuses it or cannot be reached.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        if self.is_world_process_zero():
            self._finish_current_push()
            self._clear_stage()
        self.accelerator.wait_for_everyone()
        self.save_model(str(self._stage), _internal_call=True)
        if not self.is_world_process_zero():
            return None
        self._write_card(self._stage, **card)
        job = self._push(self._stage, commit_message, token=token, revision=revision)
        if not blocking:
            job.add_done_callback(lambda _: self._clear_stage())
            return job
        try:
            return job.result()
        finally:
            self._clear_stage()

    def push_saved(self, folder: Path) -> None:
        """Push a folder that the model was saved to.

        Raises:
            OSError: where the hub refuses it or cannot be reached; the folder stays as it is.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        self._finish_current_push()
        try:
            self._push(folder, "End of training").result()
        except Exception as error:  # the network fails in dozens of kinds
            raise OSError(
                f"the model is saved in {folder}, but could not be pushed to {self.hub_model_id} "
                f"({on_one_line(error)}); push it with: hf upload {self.hub_model_id} {folder}"
            ) from error

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Push the model of a checkpoint while training goes on.

        It is linked aside, since a checkpoint may be removed before it is pushed. As in
        transformers a push is left out while the one before goes on, unless `hub_always_push` is
        set (then that is waited for), and the whole checkpoint is pushed where `hub_strategy` says
        so.
        """
        strategy, checkpoint = self.args.hub_strategy, Path(checkpoint_folder)
        if not self.is_world_process_zero() or strategy == HubStrategy.END:
            return
        going_on = self.push_in_progress is not None and not self.push_in_progress.is_done()
        if going_on and not self.args.hub_always_push:
            return
        self._finish_current_push()
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        message = f"Training in progress, step {self.state.global_step}"
        self._clear_stage()
        self._stage.mkdir(parents=True)
        for file in checkpoint.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in MODEL_FILES):
                _link(file, self._stage / file.name)
        self.processing_class.save_pretrained(self._stage)
        jobs = [self._push(self._stage, message)]
        if strategy != HubStrategy.EVERY_SAVE:
            whole = "last-checkpoint" if strategy == HubStrategy.CHECKPOINT else checkpoint.name
            jobs.append(self._push(checkpoint, f"{message}, checkpoint", whole))
        jobs[0].add_done_callback(lambda _: self._clear_stage())
        for job in jobs:
            job.add_done_callback(_tell_failure)
        self.push_in_progress = PushInProgress(jobs)

    @property
    def _stage(self) -> Path:
        """Where the model lies until it is pushed."""
        return scratch_of(self.recorder.folder.path / "hub")

    def _clear_stage(self) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)

    @cached_property
    def _hub(self) -> HfApi:
        """One for all pushes, which it does one after the other."""
        return HfApi(library_name="scgrpo")

    def _push(
        self,
        folder: Path,
        message: str | None,
        whole: str | None = None,
        *,
        token: str | None = None,
        revision: str | None = None,
    ) -> "Future[Any]":
        """Push a folder, to `whole` in the repository with all that is in it."""
        return self._hub.upload_folder(
            repo_id=self.hub_model_id,
            folder_path=folder,
            path_in_repo=whole,
            commit_message=message,
            token=token or self.args.hub_token,
            revision=revision or self.args.hub_revision,
            # A pickle with the paths of this machine and the token.
            ignore_patterns=None if whole else [TRAINING_ARGS_NAME],
            run_as_future=True,
        )


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # not every file system has links
        shutil.copy2(file, place)


def _tell_failure(job: "Future[Any]") -> None:
    if error := job.exception():
        logger.warning(f"a push to the hub failed, training goes on: {on_one_line(error)}")
