"""Tables as plain text."""

import io
from typing import Any


def printed(table: Any) -> str:
    """What a rich console would print, as plain text."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120, no_color=True, highlight=False)
    with console.capture() as found:
        console.print(table)
    return "\n".join(line.rstrip() for line in found.get().rstrip().splitlines())
