"""Training: `fit`, the trainer, checks before the first step, saving and loading."""
