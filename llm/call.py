"""What a dialect is given and what it must have: the walls around `llm/dialects/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Protocol

from lib.frozen import dataclass
from llm.conversation import Conversation
from llm.exchange import Reading

SURE: Final = 95
"""Scores from here on are told by what a body says, and not by its address alone."""


@dataclass(slots=True)
class Call:
    """One exchange with its bodies as JSON values; `response` of a stream is the folded body, once it is folded."""

    provider: str = ""
    method: str = "POST"
    path: str = ""
    """Lower case, without query."""
    status: int = 200
    request: Mapping[str, Any] = field(default_factory=dict)
    """{} where the request is no JSON object."""
    response: Any = None
    text: str = ""
    """The reply where it is plain text."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Any] = ()
    """The stream's events while `response` is not folded yet."""

    sample: Mapping[str, Any] = field(init=False)
    """An object that shows what the reply looks like: itself, or the stream's first object."""

    def __post_init__(self) -> None:
        self.sample = self._sample()

    def _sample(self) -> Mapping[str, Any]:
        if isinstance(self.response, dict):
            return self.response
        for event in self.events:
            if isinstance(event, dict):
                return event
        return {}


class Dialect(Protocol):
    """The functions a module in `llm/dialects/` has; its own name is the dialect's."""

    __name__: str

    TOLD_BY: frozenset[str]
    """Keys of a reply, or of a request, one of which is there wherever `score` says SURE or more."""

    def score(self, call: Call) -> int:
        """How sure it is to be the one: 0 not at all, 100 told by the reply itself, below 60 a guess."""

    def fold(self, events: Sequence[Any]) -> dict[str, Any]:
        """The body a stream would have been."""

    def is_complete(self, events: Sequence[Any], body: Mapping[str, Any]) -> bool:
        """Whether the stream came to its own end ([DONE] is looked for elsewhere)."""

    def read(self, call: Call) -> Reading:
        """The facts; `dialect`, errors, stream flags and problems of the frames are added by `llm.parse`."""

    def converse(self, request: Mapping[str, Any], response: Any) -> Conversation:
        """The same for people to read."""
