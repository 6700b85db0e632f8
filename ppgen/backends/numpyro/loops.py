"""Sites inside NumPyro's `scan` and `cond`: they get their values where the loop runs, and are told of when it is over."""

from collections.abc import Callable
from typing import Any

import jax
from numpyro.primitives import Messenger

from ppgen.backends.protocol import REAL
from ppgen.backends.recorder import Onto, Recorder


def enter(recorder: Recorder, msg: Any) -> None:
    """Before a loop or a branch runs: values for its sites, turn by turn, and what is to happen to the others."""

    def inside(body: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with _Inside(recorder):
                return body(*args)

        return run

    if is_loop(msg):
        body, *rest = msg["args"]
        msg["args"] = (inside(body), *rest)
    else:
        chosen, one, other, operand = msg["args"]
        msg["args"] = (chosen, inside(one), inside(other), operand)
    msg["kwargs"]["substitute_stack"].append(("condition", lambda site: _of_this_turn(recorder, site)))


def leave(recorder: Recorder, msg: Any) -> None:
    """After a loop or a branch: its sites, which are passed on next, have their values."""
    sites = msg["value"][1][0] if is_loop(msg) else msg["value"][1]
    recorder.settled |= dict.fromkeys(sites.trace, is_loop(msg))


def is_loop(msg: Any) -> bool:
    """Whether it is `scan`, which knows how much of the past a turn sees, and not `cond`."""
    return "history" in msg["kwargs"]


class _Inside(Messenger):
    """What the recorder does at sites outside loops, done at those inside."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "sample" and msg["is_observed"] and self.recorder.request.fresh:
            msg["value"], msg["is_observed"] = None, False

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] != "sample" or msg["is_observed"]:
            return
        if self.recorder.how(msg, bool(msg["fn"].has_rsample)) == "held":
            msg["value"], msg["intermediates"] = jax.lax.stop_gradient(msg["value"]), None


def _of_this_turn(recorder: Recorder, site: Any) -> Any:
    """The value of a site in this turn of the loop, if the recorder was given its values."""
    name, turn = site["name"], site["infer"].get("_scan_current_index", ...)  # a branch has all of it
    if REAL + name in recorder.given:
        onto = Onto(recorder.backend.bijection(site["fn"]), site["fn"])
        return onto(recorder.place(REAL + name, onto.event_dim)[turn])
    return recorder.place(name, len(site["fn"].event_shape))[turn] if name in recorder.given else None
