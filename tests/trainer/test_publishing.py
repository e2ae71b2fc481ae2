"""What arrives at the hub is the model with its card, and nothing else of the run."""

import json

import huggingface_hub.constants
import pytest
import transformers.utils.hub
import yaml
from safetensors.torch import load
from transformers import Trainer

from scgrpo.runs.config_reader import load_run_config
from scgrpo.runs.run import train
from tests.trainer.hub import hub as serving
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

MODEL = {
    *("README.md", "config.json", "generation_config.json", "model.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
}
TOKEN = "hf_of_a_test"


@pytest.fixture
def hub(monkeypatch):
    with serving() as told:
        # As with HF_ENDPOINT, which is read once at the import.
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", told.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", None, raising=False)
        yield told


def test_a_script_pushes_the_model_alone(hub, tmp_path):
    args = config(tmp_path / "run", max_steps=1, rollout_steps=1, hub_token=TOKEN)
    run = trainer(args)
    run.train()
    run.push_to_hub(dataset_name="sums", tags="arithmetic", revision="second")
    (commit,) = hub.commits
    assert (commit.repository, commit.revision) == ("someone/run", "second")
    assert set(commit.files) == MODEL and hub.tokens == {f"Bearer {TOKEN}"}
    assert commit.message == "End of training"
    weights = load(commit.files["model.safetensors"])
    for name, value in run.model.state_dict().items():
        assert name not in weights or weights[name].equal(value)
    card = commit.files["README.md"].decode()
    assert "| Data | sums |" in card and "# run" in card
    assert "arithmetic" in yaml.safe_load(card.split("---")[1])["tags"]
    assert not any(TOKEN in content.decode(errors="replace") for content in commit.files.values())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.yaml", "metrics.jsonl", "rollouts"),
    }  # fmt: skip


def test_a_transformers_without_private_repositories_finds_the_repository(tmp_path, monkeypatch):
    asked = []

    def as_in_transformers_5_13(self, token=None):
        asked.append(token)

    monkeypatch.setattr(Trainer, "init_hf_repo", as_in_transformers_5_13)
    run = trainer(config(tmp_path))
    run.init_hf_repo(token=TOKEN)
    assert asked == [TOKEN]
    with pytest.raises(OSError, match=r"no repository .* 'private'"):
        run.init_hf_repo(private=True)


@pytest.mark.slow
def test_saved_checkpoints_are_pushed_as_models_while_training_goes_on(hub, tmp_path):
    args = config(
        tmp_path / "run", max_steps=3, rollout_steps=1, push_to_hub=True, hub_model_id="me/mine",
        hub_always_push=True, save_strategy="steps", save_steps=1, save_total_limit=1,
    )  # fmt: skip
    run = trainer(args)
    run.train()
    assert [commit.message for commit in hub.commits] == [
        f"Training in progress, step {step}" for step in (1, 2, 3)
    ]
    assert all(set(commit.files) == MODEL for commit in hub.commits)
    assert len({commit.files["model.safetensors"] for commit in hub.commits}) == 3
    run.save_model(str(tmp_path / "model"))
    assert hub.commits[-1].message == "Model save" and set(hub.commits[-1].files) == MODEL
    assert not list((tmp_path / "run").glob("hub*"))


@pytest.mark.slow
def test_a_whole_checkpoint_is_pushed_where_that_is_asked_for(hub, tmp_path):
    args = config(
        tmp_path / "run", max_steps=1, push_to_hub=True, hub_strategy="checkpoint",
        save_strategy="steps", save_steps=1,
    )  # fmt: skip
    trainer(args).train()
    model, whole = hub.commits
    assert set(model.files) == MODEL
    state = json.loads(whole.files["last-checkpoint/trainer_state.json"])
    assert state["global_step"] == 1 and all(n.startswith("last-checkpoint/") for n in whole.files)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A run's config in the folder in which it is."""
    monkeypatch.chdir(tmp_path)
    tiny_model(max_position_embeddings=1024).save_pretrained("model")
    tiny_tokenizer().save_pretrained("model")
    rows = tiny_dataset(8)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "reward.py").write_text(
        "def one(completions, **_):\n    return [1.0] * len(completions)\n"
    )
    (tmp_path / "run.yaml").write_text(
        "{model: model, dataset: rows.jsonl, reward: reward.py:one, eval_share: 0, name: mine,\n"
        "max_steps: 1, per_device_train_batch_size: 8, num_generations: 4, rollout_steps: 1,\n"
        "max_completion_length: 8, push_to_hub: true, hub_strategy: end}\n"
    )
    return tmp_path / "run.yaml"


def test_a_run_of_a_config_pushes_its_model(hub, own):
    folder = train(load_run_config(own, []))
    (commit,) = hub.commits
    assert commit.repository == "someone/mine" and set(commit.files) == MODEL
    kept = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    assert commit.files == {name: kept[name] for name in MODEL}


@pytest.mark.slow
def test_a_hub_that_refuses_leaves_the_model_and_says_how_to_push_it(hub, own):
    hub.refuses = True
    sentence = (
        r"saved in runs/mine/model, but could not be pushed to someone/mine \(.*no right.*\); push "
        r"it with: hf upload someone/mine runs/mine/model$"
    )
    with pytest.raises(OSError, match=sentence):
        train(load_run_config(own, []))
    assert (own.parent / "runs/mine/model/model.safetensors").exists() and hub.commits == []
