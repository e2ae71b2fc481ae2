"""What becomes of a batch: from rewards and rollouts to the credit of each token."""
