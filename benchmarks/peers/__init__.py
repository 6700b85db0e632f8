"""One VAE training step, written with ppgen and with each of its peers.

Every file has `start(problem) -> run`. Each `run(index)` goes on from where the last one stopped, takes one
step on each batch `problem.rows[index[step]]`, and returns the losses (negative ELBO in nats per row).
"""
