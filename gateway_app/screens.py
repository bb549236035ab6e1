"""What stands between a request that is let in and its call, where its client asks for it: security, then moderation.

    request ─▶ local rules ─▶ the organisation's classifier ─▶ (advanced) a guard model ─▶ moderation ─▶ call
    reply   ─▶ held back whole ─▶ the same screens ─▶ client

The first that finds something ends it. One that fails lets pass, unless the organisation wants it otherwise, and is
named on the row either way. `threat` of the row: True found, False looked at and not found, None nobody looked.

    ThreatDetected, PromptFlagged, ScreenFailed     see errors.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from accounts_app.keys import Speaker
from accounts_app.snapshot import Snapshot
from accounts_app.snapshot_safety import SafetyRules, safety
from gateway_app import asking, lending, screen_rules
from gateway_app.asking import Desk, Reply
from gateway_app.capture import Facts
from gateway_app.errors import GatewayError, PromptFlagged, ScreenFailed, ThreatDetected
from gateway_app.lending import Lender
from gateway_app.screen_rules import ASKED, REPLIED, THRESHOLD
from gateway_app.targets import read_target
from ingest_app.directives import Directives
from lib.clock import now, uuid7
from lib.frozen import dataclass
from llm import loose, providers, spoken
from llm.conversation import Part
from llm.exchange import Attribution, Problem
from llm.spoken import Words

INLINE: Final = 1_000
"""Characters; a longer text is looked at in a thread, beside the event loop."""
LONGEST_SENT: Final = 50_000
"""Characters given to a classifier or a guard model."""
MOST_IMAGES: Final = 4
"""Of one message that are moderated, each in a call."""
LONGEST_IMAGE: Final = 8 * 2**20
"""Characters of a `data:` address."""
SEEING_MODEL: Final = "omni-moderation-latest"
Side = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator has set."""

    seconds: float = 5.0
    """Longest a classifier, guard model or moderation is waited for."""
    classifier_url: str = ""
    """Of organisations that name none."""
    public_url: str = ""


DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose request it is, and with what other parties are asked about it."""

    id: UUID
    organization_id: int
    api_key_id: int
    directives: Directives
    safety: SafetyRules
    lender: Lender
    """Stored keys the request may use; nobody's where it brings its own."""
    stored: Lender
    """Those of the organisation."""
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    provider: str = ""
    url: str = ""
    provider_urls: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, snapshot: Snapshot | None, speaker: Speaker, lender: Lender, *, request_id: UUID, directives: Directives,
        **more: Any,
    ) -> Asker:  # fmt: skip
        of = speaker.organization_id
        stored = lending.all_of(snapshot, of)
        return cls(request_id, of, speaker.key_id, directives, safety(snapshot, of), lender, stored, **more)


class Finding(NamedTuple):
    screen: str
    detail: str


class Screening:
    """One request's. `request`, then `reply` where `holds_reply`; `threat` and `notes` are for its row."""

    def __init__(self, desk: Desk, options: Options, asker: Asker) -> None:
        self._desk = desk
        self._options = options
        self._asker = asker
        self._request = b""
        self.threat: bool | None = None
        self.notes: list[Problem] = []

    @property
    def holds_reply(self) -> bool:
        told = self._asker.directives.security_reply
        wanted = self._asker.safety.screens_replies if told is None else told
        return self._asker.directives.is_screened and wanted

    async def request(self, body: bytes) -> None:
        """Raises ThreatDetected, PromptFlagged, ScreenFailed."""
        self._request = body
        sent = self._asker.headers
        words = spoken.asked(
            body, url=self._asker.url, content_type=sent.get("content-type", ""),
            content_encoding=sent.get("content-encoding", ""),
        )  # fmt: skip
        if self._asker.directives.is_screened and words.all:
            if words.media:
                self._note("screen_partial", f"security: {spoken.counted(words.media)}")
            await self._secure(words.all, "user")
        if self._asker.directives.moderations:
            await self._moderate(words)

    async def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Raises ThreatDetected, ScreenFailed."""
        text = spoken.replied(
            self._request, body, url=self._asker.url, status=status, content_type=headers.get("content-type", ""),
            content_encoding=headers.get("content-encoding", ""),
        )  # fmt: skip
        if text and status < 400:
            await self._secure(text, "assistant")

    # --- security ----------------------------------------------------------------------------------------------------

    async def _secure(self, text: str, side: Side) -> None:
        found = await self._rules(text, side)
        for name, screen in self._others():
            if found is None:
                found = await self._tried(name, lambda screen=screen: screen(text, side))  # type: ignore[misc]
        self.threat = found is not None or bool(self.threat)
        if found is not None:
            self.notes.append(Problem("threat_found", f"{side}: {found.screen}: {found.detail}"))
            page = f"{self._options.public_url}/requests/{self._asker.id}"
            raise ThreatDetected.of(page, is_reply=side == "assistant")

    async def _rules(self, text: str, side: Side) -> Finding | None:
        rules = ASKED if side == "user" else REPLIED
        found = screen_rules.look(text, rules) if len(text) <= INLINE else await asyncio.to_thread(
            screen_rules.look, text, rules
        )  # fmt: skip
        return Finding("rules", f"{found.score:.2f} {', '.join(found.names)}") if found.is_threat else None

    def _others(self) -> list[tuple[str, Callable[[str, Side], Awaitable[Finding | None]]]]:
        rules = self._asker.safety
        others: list[tuple[str, Callable[[str, Side], Awaitable[Finding | None]]]] = []
        if rules.classifier_url or self._options.classifier_url:
            others.append(("classifier", self._classify))
        if self._asker.directives.security_advanced:
            if rules.model_provider and rules.model_name:
                others.append(("guard model", self._ask_model))
            else:
                self._note("screen_missing", "no guard model is set up under Settings, Safety")
        return others

    async def _tried(self, name: str, screen: Callable[[], Awaitable[Finding | None]]) -> Finding | None:
        """What a screen found; of one that fails nothing. Raises ScreenFailed where the organisation wants it so."""
        try:
            return await screen()
        except GatewayError as error:
            reason = error.message
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            reason = f"its answer cannot be read ({type(error).__name__})"
        self._note("screen_failed", f"{name}: {reason}"[:300])
        if self._asker.safety.blocks_when_failing:
            raise ScreenFailed(f"This call could not be checked ({name}), and is not made unchecked. Try again later.")
        return None

    def _note(self, code: str, detail: str) -> None:
        if (note := Problem(code, detail)) not in self.notes:
            self.notes.append(note)

    async def _classify(self, text: str, side: Side) -> Finding | None:
        """A POST of {"text", "role"} to the classifier's URL."""
        rules = self._asker.safety
        url, is_own = rules.classifier_url or self._options.classifier_url, bool(rules.classifier_url)
        target = read_target(url, is_guarded=is_own, keeps_path=False)
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        token = {"authorization": f"Bearer {rules.classifier_token}"} if is_own and rules.classifier_token else {}
        reply = await asking.fetch(
            self._desk.pool, target, path, body=orjson.dumps({"text": text[:LONGEST_SENT], "role": side}),
            headers={**asking.JSON, **token}, seconds=self._options.seconds,
        )  # fmt: skip
        score = _score(_json(reply))
        return Finding("classifier", f"{score:.2f}") if score > THRESHOLD else None

    async def _ask_model(self, text: str, side: Side) -> Finding | None:
        """A chat with a model of Llama Guard's kind, which answers `safe`, or `unsafe` and why."""
        rules = self._asker.safety
        messages = [{"role": "user", "content": text[:LONGEST_SENT]}]
        if side == "assistant":
            asked = spoken.asked(self._request, url=self._asker.url).all or "…"
            messages = [{"role": "user", "content": asked[:LONGEST_SENT]}, {**messages[0], "role": "assistant"}]
        body = {"model": rules.model_name, "messages": messages, "temperature": 0, "max_tokens": 64}
        reply = await self._ask_provider(rules.model_provider, "chat/completions", body, what="security")
        verdict = str(_json(reply)["choices"][0]["message"]["content"]).strip().lower()
        if not verdict.startswith(("safe", "unsafe")):
            raise ValueError(verdict)
        return Finding(rules.model_name, " ".join(verdict.split()[:6])) if verdict.startswith("unsafe") else None

    # --- moderation --------------------------------------------------------------------------------------------------

    async def _moderate(self, words: Words) -> None:
        """The text with the first image, and each other image, in a call of its own: OpenAI takes one a call."""
        images = [part for part in words.user_media if _is_shown(part)][:MOST_IMAGES]
        if left := [part for part in words.user_media if part not in images]:
            self._note("screen_partial", f"moderation: {spoken.counted(left)}")
        if not words.user and not images:
            return
        if not self._credentials("openai"):
            self._note("screen_missing", "moderation: no key of OpenAI came with the call or is stored")
            return
        inputs = [_moderated(words.user if place == 0 else "", image) for place, image in enumerate(images or [None])]
        found = await asyncio.gather(
            *(self._tried("moderation", lambda body=body: self._flagged(body)) for body in inputs)  # type: ignore[misc]
        )
        for flagged in filter(None, found):
            self.notes.append(Problem("moderation_flagged", flagged.detail))
            raise PromptFlagged.of(f"{self._options.public_url}/requests/{flagged.screen}")

    async def _flagged(self, body: Mapping[str, Any]) -> Finding | None:
        """(id of the moderation's row, categories)."""
        request_id = uuid7(now())
        reply = await self._ask_provider("openai", "moderations", body, what="moderation", request_id=request_id)
        result = _json(reply)["results"][0]
        if not result["flagged"]:
            return None
        names = [name for name, is_so in loose.mapping(result.get("categories")).items() if is_so is True]
        return Finding(str(request_id), ", ".join(names)[:200])

    # --- asking a provider --------------------------------------------------------------------------------------------

    def _credentials(self, slug: str) -> Mapping[str, str]:
        """The caller's own where it calls that provider, else the organisation's."""
        own = self._asker.headers.get("authorization", "")
        if slug == self._asker.provider and own and "k-helicone-" not in own:
            return {"authorization": own}
        provider = providers.by_slug(slug)
        key = (self._asker.lender.keys or self._asker.stored.keys).get(slug)
        made = lending.loan(key, provider).headers if key is not None and provider is not None else {}
        return {name: value for name, value in made.items() if value}

    async def _ask_provider(
        self, slug: str, what_path: str, body: Mapping[str, Any], *, what: str, request_id: UUID | None = None
    ) -> Reply:
        """A recorded call. Raises GatewayError; ScreenFailed for an answer that is none."""
        provider, credentials = providers.by_slug(slug), self._credentials(slug)
        base = self._asker.provider_urls.get(slug) or self._asker.stored.base_url(slug)
        is_guarded = bool(base) and slug not in self._asker.provider_urls
        base = base or (provider.base_url if provider else "")
        if provider is None or not base or not credentials:
            raise ScreenFailed(f"no key of {slug} is stored, or its address is not known")
        target = read_target(base, is_guarded=is_guarded, keeps_path=True)
        path = target.path_for(f"{provider.api_path}/{what_path}")
        reply = await asking.recorded(
            self._desk, self._facts(slug, f"{target.origin.text}{path}", request_id), target, path,
            directives=self._directives(what), safety=self._asker.safety, body=orjson.dumps(body),
            headers=credentials, seconds=self._options.seconds,
        )  # fmt: skip
        if reply.status != 200:
            raise ScreenFailed(f"it answered with status {reply.status}")
        return reply

    def _facts(self, slug: str, url: str, request_id: UUID | None) -> Facts:
        asker, at = self._asker, now()
        return Facts(
            request_id or uuid7(at), asker.organization_id, asker.api_key_id, at, slug, "POST", url, asking.JSON, None
        )

    def _directives(self, what: str) -> Directives:
        """The same user and session; its text is as private as the request's."""
        told = self._asker.directives
        attribution = Attribution(
            end_user_id=told.attribution.end_user_id, session_id=told.attribution.session_id,
            session_path=told.attribution.session_path, session_name=told.attribution.session_name,
            properties={**told.attribution.properties, "helicone-screen": what},
        )  # fmt: skip
        return Directives(attribution, omit_request=told.omit_request, omit_response=told.omit_response)


def _is_shown(part: Part) -> bool:
    """Whether OpenAI can be shown it: an image by its address, or whole and not too large."""
    is_there = part.url.startswith(("https://", "http://", "data:image/"))
    return part.kind == "image" and is_there and len(part.url) <= LONGEST_IMAGE


def _moderated(text: str, image: Part | None) -> Mapping[str, Any]:
    """What is asked: as Helicone asks where there are only words, else of the model that sees."""
    if image is None:
        return {"input": text}
    said = [{"type": "text", "text": text}] if text else []
    return {"model": SEEING_MODEL, "input": [*said, {"type": "image_url", "image_url": {"url": image.url}}]}


def _json(reply: Reply) -> Any:
    if reply.status != 200:
        raise ScreenFailed(f"it answered with status {reply.status}")
    return orjson.loads(reply.body)


def _score(told: Any) -> float:
    """Of a classifier's answer, in any of the usual shapes. Raises ValueError, IndexError."""
    while isinstance(told, list) and told:
        told = told[0]
    if not isinstance(told, dict):
        raise ValueError("no object")
    for name in ("unsafe", "flagged", "is_threat", "injection"):
        if isinstance(told.get(name), bool):
            return float(told[name])
    scores = [told[name] for name in ("jailbreak_score", "score") if isinstance(told.get(name), int | float)]
    score = scores[0]
    label = str(told.get("label", "")).lower()
    return 1 - score if label in ("safe", "benign", "legit", "label_0", "no_injection") else float(score)


def wanted(directives: Directives) -> bool:
    return directives.is_screened or directives.moderations
