"""One line of the menu, declared by a room in its `AppConfig.menu` and gathered by the composition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MenuItem:
    """`order` below 100 is in the upper group (what is looked at), from 100 on in the lower (what is set).

    `key` is the letter that opens the page after `g`; empty for none. `also` names further pages it is current on.
    """

    label: str
    url_name: str
    order: int
    key: str = ""
    also: tuple[str, ...] = ()
