from __future__ import annotations

from wires import closed_clients

__all__ = ["closed_clients"]
