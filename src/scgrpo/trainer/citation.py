"""The paper, as TRL writes it into a model card."""

import textwrap

PAPER = {
    "title": "Learning from Own Solutions: Self-Conditioned Credit Assignment for "
    "Reinforcement Learning with Verifiable Rewards",
    "id": "2606.18810",
    "citation": textwrap.dedent("""\
        @article{scgrpo2026,
            title  = {{Learning from Own Solutions: Self-Conditioned Credit Assignment for Reinforcement Learning with Verifiable Rewards}},
            year   = 2026,
            eprint = {arXiv:2606.18810},
        }"""),  # noqa: E501
}
