"""JSON that satisfies a JSON schema, for tool arguments and structured replies."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from helicone_site.demo.provider import prose

DEEPEST = 6


def sample(schema: Mapping[str, Any], dice: random.Random, *, name: str = "") -> Any:
    """A value the schema allows, `$ref` inside it followed; what it does not say becomes a word."""
    return _Sampler(schema, dice).value(schema, name, 0)


class _Sampler:
    def __init__(self, root: Mapping[str, Any], dice: random.Random) -> None:
        self.root = root
        self.dice = dice

    def value(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if options := schema.get("enum"):
            return self.dice.choice(options)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self.value(options[0], name, depth + 1)
        return self._typed(schema, name, depth)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if not (reference := schema.get("$ref")):
            return schema
        found: Any = self.root
        for step in str(reference).removeprefix("#/").split("/"):
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) else {}

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in {"integer", "number"}:
            low = schema.get("minimum", 1)
            return self.dice.randint(int(low), int(schema.get("maximum", low + 9)))
        if kind == "boolean":
            return self.dice.random() < 0.5
        return None if kind == "null" else self._text(name)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        names = properties if depth < DEEPEST else schema.get("required", ())
        return {name: self.value(properties.get(name, {}), name, depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        length = max(schema.get("minItems", 1), 0 if depth >= DEEPEST else self.dice.randint(1, 2))
        return [self.value(schema.get("items") or {}, name, depth + 1) for _ in range(length)]

    def _text(self, name: str) -> str:
        word = self.dice.choice(prose.WORDS)
        if name.endswith("id") or name == "order":
            return f"{word[:2].upper()}-{self.dice.randint(1000, 9999)}"
        if "path" in name or "file" in name:
            return f"src/{word}.py"
        return " ".join(self.dice.sample(prose.WORDS, k=2)) if name in {"query", "question", "text"} else word
