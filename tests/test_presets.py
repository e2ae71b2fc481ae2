"""Presets as a table: what each one means, pinned."""

import pytest

from scgrpo.presets import PRESETS, load_preset
from scgrpo.trainer.config import SCGRPOConfig

WEIGHTED = ("group", "self", "weight", "grpo", 0.2)
ADDED = ("group", "self", "loss", "grpo", 0.2)
# advantage, teacher, use, loss_type, clip above, and what else sets it apart
TABLE = {
    "grpo": ("group", "none", "none", "grpo", 0.2, {}),
    "dapo": ("group", "none", "none", "dapo", 0.28, {
        "dynamic_sampling": True, "resample_rounds": 10}),
    "reinforce++": ("whitened", "none", "none", "dapo", 0.2, {"reward_kl": 0.01, "discount": 1.0}),
    "opsd": ("none", "demonstration", "loss", "grpo", 0.2, {
        "divergence": "forward", "divergence_clip": 0.05, "divergence_clip_of": "entry",
        "teacher_weights": "initial", "loss_coefficient": 1.0}),
    "opd": ("none", "model", "loss", "grpo", 0.2, {
        "divergence": "reverse", "divergence_clip": None}),
    "sc-grpo": (*WEIGHTED, {
        "weight": "credit", "reference_set": "partial+none", "references": 1, "memory_size": 0,
        "reference_kind": "verified", "trust": "none", "weight_normalisation": "none",
        "diversity_alpha": 0.1, "diversity_replaces": "zero", "threshold_percentile": 75.0,
        "threshold_min": 1e-4, "threshold_fixed": None, "threshold_scope": "batch",
        "solve_threshold": 1.0}),
    "sc-grpo-partial": (*WEIGHTED, {"reference_set": "partial"}),
    "sc-grpo-any-partial": (*WEIGHTED, {"reference_set": "any-partial"}),
    "sc-grpo-all-correct": (*WEIGHTED, {"reference_set": "all-correct"}),
    "sc-grpo-all": (*WEIGHTED, {"reference_set": "all"}),
    "sc-grpo-p25": (*WEIGHTED, {"threshold_percentile": 25.0}),
    "sc-grpo-p50": (*WEIGHTED, {"threshold_percentile": 50.0}),
    "sc-grpo-p90": (*WEIGHTED, {"threshold_percentile": 90.0}),
    "sc-grpo-fixed-c": (*WEIGHTED, {"threshold_fixed": 1e-4}),
    "sc-grpo-alpha0.2": (*WEIGHTED, {"diversity_alpha": 0.2}),
    "grpo+fkl": (*ADDED, {
        "divergence": "forward", "reference_set": "partial", "loss_coefficient": 0.1,
        "loss_coefficient_start": None}),
    "grpo+fkl-warmed": (*ADDED, {
        "divergence": "forward", "loss_coefficient": 0.1, "loss_coefficient_start": 0.03,
        "loss_warmup_steps": 100}),
    "grpo+rkl": (*ADDED, {"divergence": "reverse"}),
    "grpo+rkl-warmed": (*ADDED, {
        "divergence": "reverse", "loss_coefficient_start": 0.03}),
    "grpo+bikl": (*ADDED, {
        "divergence": "bidirectional", "divergence_beta": 0.5}),
    "sc-grpo-memory": (*WEIGHTED, {"memory_size": 4, "memory_age": 100}),
    "sc-grpo-mean4": (*WEIGHTED, {
        "references": 4, "reference_reduction": "mean"}),
    "sc-grpo-max4": (*WEIGHTED, {
        "references": 4, "reference_reduction": "max"}),
    "sc-grpo-disagreement": (*WEIGHTED, {
        "references": 4, "weight": "disagreement", "reference_set": "partial"}),
    "sc-grpo-entropy": (*WEIGHTED, {"weight": "credit*entropy"}),
    "sc-grpo-entropy-mixed": (*WEIGHTED, {"weight": "credit+entropy"}),
    "sc-grpo-signed": (*WEIGHTED, {
        "weight": "signed", "signed_min": 0.0, "signed_max": 2.0, "trust": "auc",
        "trust_decay": 0.9, "reference_set": "partial"}),
    "sc-grpo-signed-ungated": (*WEIGHTED, {
        "weight": "signed", "signed_min": 0.0, "signed_max": 2.0, "trust": "none",
        "trust_decay": 0.9, "reference_set": "partial"}),
    "entropy-top20": ("group", "none", "weight", "dapo", 0.28, {
        "weight": "entropy", "threshold_scope": "batch", "dynamic_sampling": True}),
    "gtpo": ("gtpo", "none", "none", "dapo", 0.28, {
        "solve_threshold": 1.0, "dynamic_sampling": True}),
    "gigpo": ("gigpo", "none", "none", "grpo", 0.2, {"discount": 0.95}),
    "tr-grpo": ("group", "none", "weight", "grpo", 0.2, {"weight": "tr-grpo"}),
    "gspo-token": ("group", "none", "none", "grpo", 4e-4, {
        "epsilon": 3e-4, "importance_sampling_level": "sequence"}),
    "sdpo": ("none", "self", "loss", "dapo", 0.2, {
        "reference_set": "any-partial", "divergence": "jsd", "divergence_beta": 0.5,
        "divergence_clip": None, "loss_coefficient": 1.0, "teacher_weights": "current"}),
    "rlsd": (*WEIGHTED, {
        "weight": "signed", "signed_min": 0.8, "signed_max": 1.2, "trust": "scheduled",
        "trust_value": 0.5, "trust_steps": 50, "reference_set": "any-partial"}),
    "rlrt": (*WEIGHTED, {
        "weight": "rlrt", "signed_min": 0.0, "signed_max": 2.0, "trust": "fixed",
        "trust_value": 0.5, "reference_set": "any-partial"}),
    "rlcsd": (*WEIGHTED, {"weight": "rlcsd", "trust": "none", "reference_set": "any-partial"}),
    "cscr": (*WEIGHTED, {
        "weight": "cscr", "weight_normalisation": "sequence", "reference_set": "any-partial"}),
}  # fmt: skip
LOADED = {"opd": {"teacher_model": "another"}}


def test_every_preset_is_in_the_table():
    assert list(PRESETS) == list(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_preset_means_what_the_table_says(tmp_path, name):
    args = SCGRPOConfig(
        str(tmp_path), use_cpu=True, bf16=False, **load_preset(name), **LOADED.get(name, {})
    )
    advantage, teacher, use, loss_type, above, rest = TABLE[name]
    assert (args.advantage, args.teacher, args.use) == (advantage, teacher, use)
    assert args.loss_type == loss_type
    rest = {"epsilon": 0.2, "importance_sampling_level": "token"} | rest
    assert (args.epsilon_high or args.epsilon) == above
    assert {key: getattr(args, key) for key in rest} == rest
    assert args.beta == (args.reward_kl if name == "reinforce++" else 0.0)
    assert args.scale_rewards == "group" and args.num_iterations == 1


@pytest.mark.parametrize("name", [n for n in TABLE if n.startswith("sc-grpo-")])
def test_an_ablation_differs_from_sc_grpo_in_nothing_else(name):
    base = load_preset("sc-grpo")
    changed = {key for key, value in load_preset(name).items() if base.get(key) != value}
    assert changed and changed <= set(TABLE[name][5])


def test_unknown_preset():
    with pytest.raises(ValueError, match="preset is 'ppo'; choose one of grpo, dapo"):
        load_preset("ppo")
