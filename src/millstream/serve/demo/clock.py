"""The time, anywhere: by zone (`Europe/Berlin`), by city, or by an offset from UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

__all__ = ["UnknownPlace", "find_zone", "tell_time"]

# Cities and countries that people ask for and that name no zone themselves.
_PLACES = {
    "bangalore": "Asia/Kolkata",
    "barcelona": "Europe/Madrid",
    "beijing": "Asia/Shanghai",
    "boston": "America/New_York",
    "california": "America/Los_Angeles",
    "china": "Asia/Shanghai",
    "delhi": "Asia/Kolkata",
    "england": "Europe/London",
    "france": "Europe/Paris",
    "frankfurt": "Europe/Berlin",
    "geneva": "Europe/Zurich",
    "germany": "Europe/Berlin",
    "hamburg": "Europe/Berlin",
    "hyderabad": "Asia/Kolkata",
    "india": "Asia/Kolkata",
    "italy": "Europe/Rome",
    "kyoto": "Asia/Tokyo",
    "milan": "Europe/Rome",
    "montreal": "America/Toronto",
    "mumbai": "Asia/Kolkata",
    "munich": "Europe/Berlin",
    "new delhi": "Asia/Kolkata",
    "nyc": "America/New_York",
    "osaka": "Asia/Tokyo",
    "poland": "Europe/Warsaw",
    "rio": "America/Sao_Paulo",
    "rio de janeiro": "America/Sao_Paulo",
    "saint petersburg": "Europe/Moscow",
    "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles",
    "spain": "Europe/Madrid",
    "tel aviv": "Asia/Jerusalem",
    "uk": "Europe/London",
    "washington": "America/New_York",
}
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


class UnknownPlace(ValueError):
    """No time zone goes by that name."""


def tell_time(place: str = "UTC", *, now: datetime | None = None) -> str:
    """The date and time at `place`, in one sentence.

    Raises:
        UnknownPlace: no zone goes by that name.
    """
    name, zone = find_zone(place)
    local = (now or datetime.now(UTC)).astimezone(zone)
    offset = local.strftime("%z")
    return f"{local:%A, %d %B %Y, %H:%M:%S} in {name} (UTC{offset[:3]}:{offset[3:5]})"


def find_zone(place: str) -> tuple[str, tzinfo]:
    """The zone that `place` means, and what to call it.

    Raises:
        UnknownPlace: none.
    """
    wanted = place.strip()
    key = re.sub(r"[\s_]+", " ", wanted.lower())
    if key in ("", "utc", "gmt", "z", "zulu"):
        return "UTC", UTC
    if (offset := _OFFSET.fullmatch(key)) is not None:
        return _fixed(offset)
    name = _PLACES.get(key) or _zones().get(key)
    if name is None or len(wanted) > 60:
        raise UnknownPlace(f"No time zone goes by {wanted[:60]!r}; try a larger city or a name such as Europe/Berlin.")
    try:
        return name, ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise UnknownPlace(f"This machine has no time zone data for {name}: pip install tzdata") from None


def _fixed(offset: re.Match[str]) -> tuple[str, tzinfo]:
    sign, hours, minutes = offset[1], int(offset[2]), int(offset[3] or 0)
    if hours > 14 or minutes > 59:
        raise UnknownPlace(f"There is no offset UTC{sign}{hours}:{minutes:02}.")
    span = timedelta(hours=hours, minutes=minutes)
    return f"UTC{sign}{hours:02}:{minutes:02}", timezone(span if sign == "+" else -span)


@cache
def _zones() -> dict[str, str]:
    """Zone names by what people call them: the whole name, and its city."""
    found: dict[str, str] = {}
    # Sorted so that Europe/Berlin comes before an old alias, and the same on every machine.
    for name in sorted(available_timezones(), key=lambda name: (name.count("/") != 1, name)):
        region, _, city = name.rpartition("/")
        if region not in ("Etc", "SystemV", "posix", "right"):
            found.setdefault(city.replace("_", " ").lower(), name)
        found[name.replace("_", " ").lower()] = name
    return found
