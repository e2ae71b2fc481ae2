"""A credit signal of one's own: credit goes to tokens that the policy itself found unlikely."""


def surprise(credit, logp):
    """SC-GRPO's weight times the token's surprise -log q in nats, at most 1."""
    return credit * (-logp).clamp(max=1)
