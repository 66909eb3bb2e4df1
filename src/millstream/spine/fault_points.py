"""Named places in the code where a test may strike: end the process, wait, or raise.

Free when off: a place costs one look at a variable of this module. The places are `task.start`, `task.done`, `writes.before`, `writes.after`,
`commit.before` and `commit.after`; `millstream.testing` strikes at them.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["strike"]

strike: Callable[[str], object] | None = None
"""What is called with the name of each place that is reached; None: nothing. Read it through the module, since it is set there."""
