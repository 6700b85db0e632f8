"""Ctrl-C and SIGTERM as a wish to end: noted, and answered between two steps."""

import os
import signal
import threading
from types import FrameType
from typing import Any

_TAKEN = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interrupts:
    """Inside a `with`, the first SIGINT or SIGTERM is noted; the second does what it did before.

    Only where they would have ended the program: handlers of the user's own stay, and so does everything outside the main
    thread, to which Python gives signals.

    Attributes:
        received: the name of the signal that came; empty so far.
    """

    def __init__(self) -> None:
        self.received, self._process = "", os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number, usual in _TAKEN.items():
                if signal.getsignal(number) is usual:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received or os.getpid() != self._process:  # a worker that was forked has no run to end
            self.__exit__()
            signal.raise_signal(number)
        self.received = signal.Signals(number).name
