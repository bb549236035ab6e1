"""Frozen dataclasses as cheap to make as others: the type checker holds them frozen, at run time nobody does.

A frozen class of the standard library sets every field through `object.__setattr__`, which is most of the price of the
objects one call is made of. Drop-in names for what passes by the thousand:

    from lib.frozen import dataclass, replace
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:
    import dataclasses
    from functools import cache
    from operator import attrgetter

    def dataclass(*, frozen: bool = False, **asked: Any):
        """As the standard library's: a frozen one is compared and hashed by value."""
        return dataclasses.dataclass(unsafe_hash=frozen, **asked)

    def replace(record: Any, /, **changes: Any) -> Any:
        """As the standard library's; a field there is not is an AttributeError."""
        kind = type(record)
        values = _values(kind)
        if values is None:
            return dataclasses.replace(record, **changes)
        made = kind(*values(record))
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    @cache
    def _values(kind: type[Any]):
        """Reads what its `__init__` takes, in order; None where that is not all there is to making one."""
        fields = dataclasses.fields(kind)
        is_plain = len(fields) > 1 and all(field.init and not field.kw_only for field in fields)
        if not is_plain or kind.__dataclass_params__.frozen or hasattr(kind, "__post_init__"):
            return None
        return attrgetter(*(field.name for field in fields))


__all__ = ["dataclass", "replace"]
