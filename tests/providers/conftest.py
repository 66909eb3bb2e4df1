from __future__ import annotations

from colours import colour
from wires import closed_clients

__all__ = ["closed_clients", "colour"]
