"""Between which numbers the result of a JAX primitive lies, given those of its operands."""

import math
from collections.abc import Callable
from typing import Any

Range = tuple[float, float]
ANYTHING: Range = (-math.inf, math.inf)
_SAME = ("broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "gather", "name", "reduce_max",
         "reduce_min", "reshape", "rev", "slice", "squeeze", "stop_gradient", "transpose", "split", "dynamic_slice",
         "pad", "reduce_precision")  # fmt: skip


def range_of(primitive: str, params: dict[str, Any], operands: list[Range]) -> Range:
    """The range of a primitive's result; `ANYTHING` where no rule is known."""
    if primitive in _SAME:
        used = operands[:1] if primitive in ("gather", "dynamic_slice", "broadcast_in_dim", "reshape") else operands
        return min(low for low, _ in used), max(high for _, high in used)
    rule = _RULES.get(primitive)
    if rule is None:
        return ANYTHING
    low, high = rule(params, *operands)
    return (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)


def _mul(params: Any, a: Range, b: Range) -> Range:
    products = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(products), max(products)


def _div(params: Any, a: Range, b: Range) -> Range:
    if b[0] < 0:
        return ANYTHING
    ends = [x / y if y else math.copysign(math.inf, x) if x else 0.0 for x in a for y in b]
    return min(ends), max(ends)


def _power(params: Any, a: Range) -> Range:
    even = params["y"] % 2 == 0
    return (0.0, math.inf) if even or a[0] >= 0 else ANYTHING


def _monotone(fn: Callable[[float], float]) -> Callable[..., Range]:
    def rule(params: Any, a: Range) -> Range:
        return fn(a[0]), fn(a[1])

    return rule


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _log(x: float) -> float:
    return -math.inf if x <= 0 else math.log(x)


_POSITIVE = (0.0, math.inf)
_RULES: dict[str, Callable[..., Range]] = {
    "abs": lambda params, a: (0.0 if a[0] <= 0 <= a[1] else min(map(abs, a)), max(map(abs, a))),
    "add": lambda params, a, b: (a[0] + b[0], a[1] + b[1]),
    "clamp": lambda params, low, a, high: (max(a[0], low[0]), min(a[1], high[1])),
    "cos": lambda params, a: (-1.0, 1.0),
    "div": _div,
    "dot_general": lambda params, a, b: _POSITIVE if a[0] >= 0 and b[0] >= 0 else ANYTHING,
    "erf": lambda params, a: (-1.0, 1.0),
    "erfc": lambda params, a: (0.0, 2.0),
    "exp": _monotone(_exp),
    "expm1": _monotone(lambda x: _exp(x) - 1),
    "integer_pow": _power,
    "log": _monotone(_log),
    "log1p": _monotone(lambda x: _log(1 + x)),
    "logistic": lambda params, a: (0.0, 1.0),
    "max": lambda params, a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "min": lambda params, a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "mul": _mul,
    "neg": lambda params, a: (-a[1], -a[0]),
    "reduce_sum": lambda params, a: _POSITIVE if a[0] >= 0 else ANYTHING,
    "cumsum": lambda params, a: _POSITIVE if a[0] >= 0 else ANYTHING,
    "rsqrt": lambda params, a: _POSITIVE,
    "select_n": lambda params, which, *cases: (min(a for a, _ in cases), max(b for _, b in cases)),
    "sin": lambda params, a: (-1.0, 1.0),
    "sqrt": lambda params, a: _POSITIVE,
    "square": lambda params, a: _POSITIVE,
    "sub": lambda params, a, b: (a[0] - b[1], a[1] - b[0]),
    "tanh": lambda params, a: (-1.0, 1.0),
}
