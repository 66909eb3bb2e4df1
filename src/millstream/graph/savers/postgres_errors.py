"""psycopg, loaded when it is first needed, and what its errors mean."""

from __future__ import annotations

from typing import Any, Final

from ...errors import InvalidArgument, MillstreamError, StorageBusy, StorageError, StorageFull

__all__ = ["EndTaken", "StillUnderWay", "driver", "is_passing", "meaning"]


class StillUnderWay(Exception):
    """Nobody can tell yet how a transaction ends whose connection was cut."""


class EndTaken(StorageError):
    """The index refused a second end of a step; the plan for what is unusual says whose the first is."""


def driver() -> Any:
    """The psycopg package."""
    try:
        import psycopg
    except ImportError as error:
        raise ImportError("Postgres needs a driver: pip install 'millstream[postgres]'", name=error.name) from error
    return psycopg


def is_passing(error: Exception, raw: Any) -> bool:
    """Whether trying again may help: the connection is gone or could not be made, or others were in the way."""
    if isinstance(error, StillUnderWay):
        return True
    psycopg = driver()
    if isinstance(error, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if raw is None:
        return isinstance(error, psycopg.OperationalError)
    return bool(raw.closed) or getattr(error, "sqlstate", None) in _ENDED


_ENDED: Final = ("57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
"""The server ended the connection, or takes none yet: shutdown, crash, starting up, idle for too long."""

_MEANINGS: Final[tuple[tuple[str, type[MillstreamError], str], ...]] = (
    ("UndefinedTable", StorageError, "its tables are not there; call `setup()` once, before first use"),
    ("DiskFull", StorageFull, "there is no space left"),
    ("LockNotAvailable", StorageBusy, "others kept it locked"),
    ("QueryCanceled", StorageBusy, "it took longer than the server allows"),
    ("ProgramLimitExceeded", InvalidArgument, "a name or id is too long"),
    ("DataError", InvalidArgument, "a value cannot be kept"),
)


def meaning(error: Exception) -> Exception:
    """An error of psycopg's as one of ours; any other as it is."""
    psycopg = driver()
    if isinstance(error, UnicodeEncodeError):
        return InvalidArgument(f"Postgres cannot keep text with lone surrogates in a name or id: {error}")
    if not isinstance(error, psycopg.Error):
        return error
    diagnosis: Any = getattr(error, "diag", None)
    if isinstance(error, psycopg.errors.UniqueViolation) and diagnosis.constraint_name == "ms_ends":
        return EndTaken("a step can have only one end")
    why = str(error).strip()
    for name, ours, what in _MEANINGS:
        if isinstance(error, getattr(psycopg.errors, name)):
            return ours(f"Postgres: {what}. ({why})")
    return StorageError(f"Postgres could not do it: {why}")
