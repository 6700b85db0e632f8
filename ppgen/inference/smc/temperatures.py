"""How far the likelihood's temperature may rise at a time."""

from ppgen import ops

HALVINGS = 40  # of the interval in which the temperature lies


def rise(log_likelihood: ops.Array, room: ops.Array, target_ess: float) -> ops.Array:
    """The largest rise, up to `room`, that keeps this share of the effective sample size of particles weighed by it.

    A rise d gives a particle the weight p(x | z)^d; the effective sample size falls as d grows, from the number of particles
    that are possible at all.

    Args:
        log_likelihood: of each particle, [n].
        room: what the temperature lacks to 1.
        target_ess: share of the possible particles.
    """
    possible = ops.sum(ops.as_float(log_likelihood > -float("inf")))

    def bad(d: ops.Array) -> ops.Array:
        return ess(d * log_likelihood) < target_ess * possible

    def halve(bounds: tuple[ops.Array, ops.Array], _: ops.Array) -> tuple[tuple[ops.Array, ops.Array], None]:
        low, high = bounds
        middle = (low + high) / 2
        too_far = bad(middle)
        return (ops.where(too_far, low, middle), ops.where(too_far, middle, high)), None

    (low, _), _ = ops.scan(halve, (0 * room, room), ops.arange(HALVINGS, log_likelihood))
    return ops.where(bad(room), low, room)


def ess(log_weights: ops.Array) -> ops.Array:
    """The effective sample size of weights, (sum w)^2 / sum w^2."""
    return ops.exp(2 * ops.logsumexp(log_weights, 0) - ops.logsumexp(2 * log_weights, 0))
