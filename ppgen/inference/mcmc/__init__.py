"""Markov chains over the latent sites."""
