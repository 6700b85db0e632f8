"""Likelihoods without a bound: sums over discrete latent sites, and EM."""
