"""Names of the layers in a stack of latent variables."""


def numbers(depth: int) -> tuple[str, ...]:
    """What tells the layers apart, bottom-up: nothing for a single layer, `"1"`, `"2"`, ... for several."""
    return ("",) if depth == 1 else tuple(str(n) for n in range(1, depth + 1))
