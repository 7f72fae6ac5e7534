"""What a good fit is: observations, losses, what is trained, scaling, optimizers, strategies. No word of how."""
