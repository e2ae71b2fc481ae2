"""The AppWorld task: rows, validation, measures, and what is said where something is missing."""

import sys

import pytest

from scgrpo.tasks.appworld import AppWorldTask
from scgrpo.tasks.appworld.installation import COMMANDS, probe
from scgrpo.tasks.appworld.task import goal_completion
from scgrpo.tasks.base import Task
from scgrpo.tasks.episodes import EpisodeTask


def test_rows_of_the_official_splits(make_task):
    task = make_task(max_turns=7)
    assert task.splits == ("train", "test_normal", "test_challenge", "dev")
    ids = {split: task.rows(split)["problem_id"] for split in task.splits}
    assert ids == {
        "train": ["aaa111_1", "aaa111_2", "bbb222_1"],
        "dev": ["ccc333_1"],
        "test_normal": ["ddd444_1"],
        "test_challenge": ["eee555_1"],
    }
    row = task.rows("train")[1]
    assert (row["task_id"], row["scenario"]) == ("aaa111_2", "aaa111")
    system, user = row["prompt"]
    assert "You have 7 turns" in system["content"]
    assert "My name is Ann Lee, my email is ann@example.com" in user["content"]
    assert user["content"].endswith("Task: Tell me what ends in 'nn'.\n\n")
    with pytest.raises(ValueError, match="split is 'test'; the appworld task has train, test_n"):
        task.rows("test")


def test_it_is_a_task_of_episodes(make_task):
    task = make_task(sandbox="process")
    assert isinstance(task, Task) and isinstance(task, EpisodeTask)
    assert {task.data_state(split).state for split in task.splits} == {"present"}


def test_difficulty(make_task):
    assert make_task(difficulty=2).rows("train")["task_id"] == ["bbb222_1"]
    with pytest.raises(ValueError, match="'train' has no tasks of difficulty 3"):
        make_task(difficulty=3).rows("train")


def test_tags_of_task_lists_are_left_out(make_task, fake):
    (fake / "data" / "datasets" / "dev.txt").write_text("ccc333_1:hard\n\n")
    assert make_task().rows("dev")["task_id"] == ["ccc333_1"]


def test_validation_plays_the_official_solutions(make_task, fake):
    task = make_task(sandbox="process")
    result = task.validate()
    assert (result.rows, result.gold, result.damaged, result.ok) == (3, 3, 6, True)
    answer = fake / "data" / "tasks" / "aaa111_2" / "ground_truth" / "answer.json"
    answer.write_text('"changed"')
    (wrong,) = task.validate().disagreements
    assert (wrong.problem_id, wrong.answer) == ("aaa111_2", "the official solution")
    assert (wrong.expected, wrong.reward) == (1.0, 0.0)
    with pytest.raises(ValueError, match="ddd444_1 comes without a solution; validate on train"):
        task.validate("test_normal")


def test_goal_completion_worked_by_hand():
    def record(task_id, reward, sample=0):
        return {"problem_id": task_id, "sample": sample, "reward": reward}

    first = [record("a_1", 1.0), record("a_2", 1.0), record("b_1", 1.0), record("b_2", 0.0)]
    found = goal_completion(first)
    assert (found.tasks, found.scenarios) == (3 / 4, 1 / 2)
    # In the second run scenario a fails by one task and b is whole; its mean is 1/2 as well.
    second = [record("a_1", 0.0, 1), record("a_2", 1.0, 1), record("b_1", 1.0, 1)]
    found = goal_completion([*first, *second])
    assert (found.tasks, found.scenarios) == (5 / 7, 1 / 2)
    with pytest.raises(ValueError, match="no records"):
        goal_completion([])


def test_rewards_come_from_environments_only(make_task):
    class Environment:
        def get_reward(self):
            return 1.0

    task = make_task()
    assert task.verify([[]], environments=[Environment()]) == [1.0]
    with pytest.raises(ValueError, match="scored by the environment in which it was played"):
        task.verify([[]])


def test_missing_data_says_how_to_get_it(tmp_path):
    task = AppWorldTask(root=str(tmp_path))
    for message in (task.data_state("train").detail, _error(lambda: task.rows("train"))):
        assert COMMANDS in message and str(tmp_path) in message
    assert task.data_state("train").state == "missing"
    assert COMMANDS in _error(lambda: task.environment)


def test_a_missing_package_says_how_to_get_it(fake, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    probe.cache_clear()
    if probe(sys.executable)["folder"] is not None:
        pytest.skip("this interpreter has AppWorld")
    task = AppWorldTask(root=str(fake))
    message = _error(lambda: task.text_environment)
    assert "has no package appworld" in message and COMMANDS in message
    assert task.data_state("train").detail == message
    assert len(task.rows("train")) == 3, "rows need the data alone"


def test_apps_that_are_not_unpacked(fake, monkeypatch, tmp_path):
    (tmp_path / "bare" / "appworld").mkdir(parents=True)
    (tmp_path / "bare" / "appworld" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "bare"))
    probe.cache_clear()
    assert "run `appworld install`" in AppWorldTask(root=str(fake)).data_state("dev").detail


def test_an_interpreter_that_is_none(fake):
    task = AppWorldTask(root=str(fake), python="/no/such/python")
    assert "python is '/no/such/python', which does not run" in task.data_state("dev").detail


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sandbox": "docker"}, "sandbox is 'docker'; choose bubblewrap or process"),
        ({"seconds": 0}, "seconds is 0; it must be at least 1"),
        ({"turns": 3}, "the appworld task has no option 'turns'"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        AppWorldTask(**options)


def test_the_root_is_appworlds_own_variable(fake, monkeypatch):
    monkeypatch.setenv("APPWORLD_ROOT", str(fake))
    assert len(AppWorldTask().rows("dev")) == 1


def _error(call):
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)
