"""Several generation batches in one optimizer step."""

from tests.trainer.runs import config, trainer


def test_each_batch_of_a_step_draws_its_own_references(tmp_path):
    args = config(
        tmp_path,
        max_steps=2,
        rollout_steps=1,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=2,
        steps_per_generation=1,
        threshold_scope="micro_batch",
    )
    run = trainer(args)
    seen = []
    run.rollout_sink = lambda batch: seen.append(batch.attached.step)
    run.train()
    assert [(step.step, step.first_group) for step in seen] == [(0, 0), (0, 2), (1, 0), (1, 2)]
    assert all(len(step.reward_NG) == 2 for step in seen)
