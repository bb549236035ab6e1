"""Property keys nobody of an organisation wants to see in lists. Their values are counted and shown all the same.

TooSlow        of the requests room: the statement took longer than it may
"""

from __future__ import annotations

from collections.abc import Sequence

from metrics_app import queries_names
from metrics_app.models import HiddenProperty
from metrics_app.rollup import PROPERTIES
from requests_app.long_names import counted_name


def hidden(organization_id: int) -> list[str]:
    """By name, as counts name them."""
    found = HiddenProperty.objects.filter(organization_id=organization_id)
    return list(found.order_by("key").values_list("key", flat=True))


def hide(organization_id: int, key: str) -> None:
    """Out of the lists of keys; again is no error."""
    one = HiddenProperty(organization_id=organization_id, key=_counted(key))
    HiddenProperty.objects.bulk_create([one], ignore_conflicts=True)


def restore(organization_id: int, key: str) -> None:
    HiddenProperty.objects.filter(organization_id=organization_id, key=_counted(key)).delete()


def shown(organization_id: int, keys: Sequence[str]) -> list[str]:
    """Those of the keys that are not hidden, in their order."""
    away = set(hidden(organization_id))
    return [key for key in keys if _counted(key) not in away]


def shown_keys(organization_id: int, *, limit: int) -> list[str]:
    """The keys counted so far, the commonest first, without the hidden ones. Raises TooSlow."""
    away = set(hidden(organization_id))
    known = queries_names.names(organization_id, PROPERTIES, limit=limit + len(away))
    return [key for key in known if key not in away][:limit]


def _counted(key: str) -> str:
    return counted_name(key.lower())
