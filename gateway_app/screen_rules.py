"""The screen that is always there: patterns of prompt injection and jailbreaks, scored. No network, a few milliseconds.

What it is worth is measured in tests/gateway_app/test_screen_rules.py on hand-written texts; docs/security.md has the
numbers. It knows forms of words, not meanings: whoever wants to get past it can. A classifier or a guard model may
stand beside it.

    text ─▶ views (as written; without invisible letters and look-alikes; decoded base64, hex, rot13, reversed)
         ─▶ rules, each with a weight ─▶ score 1 - Π(1 - weight), over groups, each group once
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

from lib.frozen import dataclass

THRESHOLD: Final = 0.7
"""Above it a text counts as a threat, as with Helicone's classifier."""
LONGEST: Final = 20_000
"""Characters that are looked at: both ends of a longer text."""
TELLING: Final = ("instruct", "prompt", "ignore", "disregard", "unrestrict", "unfilter", "jailbreak", "rules")
"""A view by rot13, backwards or of digits read as letters is looked at where one of these is in it."""
MOST_DECODED: Final = 20
"""Encoded pieces of one text that are decoded."""

Side = str
"""`asked` or `replied`."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    weight: float
    pattern: re.Pattern[str]
    group: str = ""
    """Of the rules of one group the heaviest found counts."""


class Found(NamedTuple):
    score: float
    names: tuple[str, ...]
    """Rules that were found, heaviest first."""

    @property
    def is_threat(self) -> bool:
        return self.score > THRESHOLD


def _rule(name: str, weight: float, pattern: str, group: str = "") -> Rule:
    return Rule(name, weight, re.compile(pattern, re.IGNORECASE), group or name)


_PRIOR: Final = r"(?:previous|prior|above|earlier|preceding|foregoing|system|initial|original|developer|your)"
_ORDERS: Final = r"(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|commands?|programming|guardrails?|restrictions?|safety (?:rules|filters?|protocols?))"  # noqa: E501
_DROP: Final = r"(?:ignore|disregard|forget|bypass|override|overlook|dismiss|discard|skip|violate|stop following|do not follow|don'?t follow|pay no attention to)"  # noqa: E501
_GAP: Final = r"[^.!?\n]{0,40}?"

ASKED: Final = (
    _rule("ignore_instructions", 0.85, rf"\b{_DROP}\b{_GAP}\b{_PRIOR}\b{_GAP}\b{_ORDERS}\b", "override"),
    _rule("ignore_all", 0.8, rf"\b{_DROP}\s+(?:all|any|everything|every)\b{_GAP}\b(?:{_ORDERS}|(?:said|told|written|mentioned)\b{_GAP}\b(?:before|above|previously|earlier))", "override"),  # noqa: E501
    _rule("new_instructions", 0.5, r"\b(?:your|the) (?:new|real|actual|updated) (?:instructions?|task|system prompt|rules|role) (?:is|are)\b|\bnew system (?:prompt|message)\s*:", "override"),  # noqa: E501
    _rule("ignore_es", 0.85, r"\b(?:ignora|olvida|omite|descarta|desobedece)\w*\b[^.!?\n]{0,30}\b(?:instrucciones|reglas|indicaciones|directrices|órdenes)\b", "override"),  # noqa: E501
    _rule("ignore_fr", 0.85, r"\b(?:ignore[zr]?|oublie[zr]?|outrepasse[zr]?|contourne[zr]?)\b[^.!?\n]{0,30}\b(?:instructions|consignes|règles|directives)\b[^.!?\n]{0,20}\b(?:précédentes|antérieures|ci-dessus|initiales|système)?", "override"),  # noqa: E501
    _rule("ignore_de", 0.85, r"\b(?:ignorier\w*|vergiss|vergesse\w*|missachte\w*|übergehe\w*|umgehe\w*)\b[^.!?\n]{0,40}\b(?:anweisung\w*|instruktion\w*|regeln|vorgaben|befehle|systemprompt)\b", "override"),  # noqa: E501
    _rule("ignore_it", 0.85, r"\b(?:ignora|dimentica|trascura)\w*\b[^.!?\n]{0,30}\b(?:istruzioni|regole|direttive)\b", "override"),  # noqa: E501
    _rule("ignore_pt", 0.85, r"\b(?:ignore|esqueça|desconsidere|ignora)\b[^.!?\n]{0,30}\b(?:instruções|regras|diretrizes|ordens)\b", "override"),  # noqa: E501
    _rule("ignore_nl", 0.85, r"\b(?:negeer|vergeet)\b[^.!?\n]{0,30}\b(?:instructies|regels|opdrachten|aanwijzingen)\b", "override"),  # noqa: E501
    _rule("ignore_ru", 0.85, r"(?:игнорируй|забудь|проигнорируй|не обращай внимания)\w*[^.!?\n]{0,40}(?:инструкци|указани|правил|команд)", "override"),  # noqa: E501
    _rule("ignore_zh", 0.85, r"(?:忽略|无视|無視|忘记|忘記|不要遵守)[^。！？\n]{0,15}(?:指令|指示|规则|規則|提示|说明|命令)", "override"),  # noqa: E501
    _rule("ignore_ja", 0.85, r"(?:指示|命令|ルール|プロンプト)[^。！？\n]{0,10}(?:無視|忘れ)", "override"),
    _rule("ignore_ko", 0.85, r"(?:지시|명령|규칙|프롬프트)[^.!?\n]{0,12}(?:무시|잊어)", "override"),
    _rule("ignore_ar", 0.85, r"(?:تجاهل|انس)[^.!؟\n]{0,25}(?:التعليمات|الأوامر|القواعد|الإرشادات)", "override"),
    _rule("ignore_hi", 0.85, r"(?:निर्देश|नियम|आदेश)\w*[^।!?\n]{0,25}(?:अनदेखा|नज़रअंदाज़|भूल)", "override"),
    _rule("dan", 0.8, r"\b(?:do anything now|DAN mode|you are (?:now )?DAN\b|(?-i:\bDAN\b)[^.\n]{0,20}\bjailbreak)", "persona"),  # noqa: E501
    _rule("jailbreak_word", 0.6, r"\b(?:jailbr(?:eak|oken)(?: mode)?|god mode|developer mode (?:enabled|on|v\d)|dev mode enabled|sudo mode)\b", "persona"),  # noqa: E501
    _rule("unrestricted_persona", 0.75, r"\b(?:act|pretend|roleplay|role-play|behave|respond|answer|you are|you're|become|simulate)\b[^.!?\n]{0,60}\b(?:unrestricted|unfiltered|uncensored|no (?:restrictions|limitations|filters?|rules|ethic\w+|moral\w*|guidelines|boundaries)|without (?:any )?(?:restrictions|limitations|filters?|rules|ethic\w+|moral\w*|guidelines|censorship))\b", "persona"),  # noqa: E501
    _rule("evil_twin", 0.5, r"\b(?:evil (?:twin|confidant|version|bot)|opposite day|two responses?\b[^.\n]{0,40}\b(?:normal|classic|filtered)|stay in character no matter|never break character)\b", "persona"),  # noqa: E501
    _rule("no_refusal", 0.45, r"\b(?:never (?:refuse|say no|decline)|(?:do not|don'?t|cannot|can't|must not) (?:refuse|apologi[sz]e|warn|say (?:you|that you) can'?t)|without (?:any )?(?:warnings?|disclaimers?)|no (?:warnings|disclaimers))\b", "refusal"),  # noqa: E501
    _rule("fictional_bypass", 0.4, r"\b(?:hypothetical(?:ly)?|fiction(?:al)?|grandmother|for (?:educational|research) purposes only)\b[^.!?\n]{0,120}\b(?:bomb|explosive|napalm|meth(?:amphetamine)?|malware|ransomware|keylogger|weapon|poison|nerve agent)\b", "fiction"),  # noqa: E501
    _rule("prompt_leak", 0.75, r"\b(?:reveal|show|print|repeat|output|display|disclose|leak|dump|tell me|give me|what (?:is|was|are|were)|copy|write (?:out|down)|recite|summari[sz]e)\b[^.!?\n]{0,40}\b(?:system|hidden|initial|original|secret|developer|internal|confidential)\s+(?:prompt|instructions?|message|rules|directives|configuration)\b", "leak"),  # noqa: E501
    _rule("words_above", 0.75, r"\b(?:repeat|print|output|copy|echo)\b[^.!?\n]{0,30}\b(?:everything|all (?:the )?(?:text|words)|the (?:text|words)|verbatim)\b[^.!?\n]{0,20}\b(?:above|before this|preceding|starting with)\b", "leak"),  # noqa: E501
    _rule("leak_other", 0.7, r"(?:mu[eé]strame|revela|affiche|révèle|zeig\w*|verrat\w*|gib)\b[^.!?\n]{0,30}(?:prompt|instrucciones|instructions|anweisungen|systemprompt)|(?:显示|告诉我|输出|泄露)[^。\n]{0,12}(?:系统提示|提示词|系统指令)|システムプロンプト[^。\n]{0,10}(?:見せ|教え|表示|出力)|системн\w+ (?:промпт|инструкц)", "leak"),  # noqa: E501
    _rule("chat_markup", 0.75, r"<\|(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\|>|\[/?INST\]|<</?SYS>>|^\s*(?:###\s*)?(?:system|assistant)\s*(?:message|prompt)?\s*:\s*(?=you|ignore|from now)", "markup"),  # noqa: E501
    _rule("end_of_input", 0.55, r"(?:(?<!-)-{3,80}|(?<!=)={3,80}|(?<!#)#{3,80}|\[)\s{0,3}(?:end|stop) of (?:user |the )?(?:input|prompt|document|text|instructions|conversation)\b", "markup"),  # noqa: E501
    _rule("admin_claim", 0.45, r"\b(?:i am|i'm|this is|as) (?:the |your |an? )?(?:system )?(?:administrator|admin|developer|creator|openai|anthropic|engineer)\b[^.!?\n]{0,60}\b(?:override|grant|authori[sz]e|enable|disable|unlock|maintenance|debug)\b", "authority"),  # noqa: E501
    _rule("from_now_on", 0.4, r"\bfrom now on\b[^.!?\n]{0,50}\byou (?:will|must|are|shall|can|have)\b", "control"),
    _rule("token_game", 0.5, r"\byou (?:have|start with|begin with|will lose)\b[^.!?\n]{0,30}\btokens?\b[^.!?\n]{0,60}\b(?:lose|deduct|refus|die|reject|each time)", "control"),  # noqa: E501
    _rule("send_away", 0.75, r"\b(?:send|post|forward|exfiltrate|upload|e-?mail|transmit)\b[^.!?\n]{0,60}\b(?:conversation|chat history|api keys?|passwords?|credentials|secrets?|private data|user data|customer data|environment variables)\b[^.!?\n]{0,40}(?:\bto\b[^.!?\n]{0,20}(?:https?://|@|\bme\b))", "exfiltration"),  # noqa: E501
    _rule("hide_from_user", 0.6, r"\b(?:do not|don'?t|never|without) (?:tell|telling|inform|informing|alert|notify|mention(?:ing)?)\b[^.!?\n]{0,25}\b(?:the )?(?:user|human|owner|anyone|this)\b[^.!?\n]{0,40}\b(?:instruction|step|action|email|message|this)\b|\bAI (?:assistant|agent|model)s?\b[^.!?\n]{0,20}\breading this\b", "exfiltration"),  # noqa: E501
    _rule("decode_and_obey", 0.55, r"\b(?:decode|decrypt|base64|rot13|hex)\b[^.!?\n]{0,60}\b(?:follow|execute|obey|do what|carry out|run|act on)\b", "encoding"),  # noqa: E501
)  # fmt: skip
"""Of what is said to a model."""

REPLIED: Final = (
    _rule("persona_taken", 0.75, r"\b(?:DAN mode (?:enabled|on)|i am now DAN|\[?🔓\s*JAILBREAK|jailbreak (?:successful|enabled)|developer mode (?:enabled|output)|staying in character as an? (?:unrestricted|unfiltered))", "persona"),  # noqa: E501
    _rule("prompt_told", 0.75, r"\b(?:my|the) (?:system|hidden|initial|original|internal) (?:prompt|instructions?|message) (?:is|are|was|were|reads?|says?)\s*(?::|as follows)|here (?:is|are) (?:my|the) (?:full |complete |exact )?(?:system|hidden|initial) (?:prompt|instructions)", "leak"),  # noqa: E501
    _rule("picture_that_tells", 0.8, r"!\[[^\]]{0,200}\]\(https?://[^)\s]{1,200}\?[^)\s]{0,40}=[^)\s]{24,}\)", "exfiltration"),  # noqa: E501
    _rule("chat_markup", 0.75, r"<\|(?:im_start|im_end|system|start_header_id)\|>|<<SYS>>", "markup"),
)  # fmt: skip
"""Of what a model answers."""

_TAGS: Final = re.compile("[\U000e0020-\U000e007e]+")
"""Unicode's invisible copies of ASCII: instructions hidden in plain sight."""
_INVISIBLE: Final = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0d\ufeff\U000e0001]")  # noqa: E501
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[ .\-_*]){5,}\w(?!\w)")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{24,4000}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[ :]?){16,2000}")
_LOOKALIKES: Final = str.maketrans(
    "аеорсухіјѕԁһӏԛԝАВЕКМНОРСТУХІЈЅαορνιτκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhlqwABEKMHOPCTYXIJSaopvitkABEZHIKMNOPTYX"
)
_LEET: Final = str.maketrans("013457@$", "oieastas")
_CYRILLIC: Final = re.compile("[а-яА-Я]{3}")


def look(text: str, rules: tuple[Rule, ...] = ASKED) -> Found:
    """How much a text looks like an attack. Never raises."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"
    weights: dict[str, tuple[float, str]] = {}
    for view, hidden in _views(text):
        for rule in rules:
            if rule.weight > weights.get(rule.group, (0.0, ""))[0] and rule.pattern.search(view):
                weights[rule.group] = (rule.weight, rule.name)
                if hidden:
                    weights["hidden"] = max(weights.get("hidden", (0.0, "")), (0.5, hidden))
    if len("".join(_TAGS.findall(text))) >= 8:
        weights["invisible"] = (0.75, "invisible_text")
    score = 1.0
    for weight, _ in weights.values():
        score *= 1 - weight
    ordered = sorted(weights.values(), reverse=True)
    return Found(round(1 - score, 3), tuple(name for _, name in ordered))


def _views(text: str) -> Iterator[tuple[str, str]]:
    """The text and what it may stand for, with how that was hidden."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    yield plain, ""
    if plain != text and _INVISIBLE.search(text):
        yield plain, "invisible_letters"
    if hidden := "".join(chr(ord(char) - 0xE0000) for run in _TAGS.findall(text) for char in run):
        yield hidden, "invisible_text"
    if not plain.isascii():
        yield plain.translate(_LOOKALIKES), "" if _CYRILLIC.search(plain) else "look_alikes"
    for run in _SPACED.findall(plain)[:MOST_DECODED]:
        yield re.sub(r"\s+", " ", re.sub(r"(?<=\w)[ .\-_*](?=\w(?!\w))|[.\-_*]", "", run)), "spaced_letters"
    if plain != (letters := plain.translate(_LEET)) and any(word in letters.lower() for word in TELLING):
        yield letters, "leet"
    for view, how in ((codecs.encode(plain, "rot13"), "rot13"), (plain[::-1], "reversed")):
        if any(word in view.lower() for word in TELLING):
            yield view, how
    for decoded in _decoded(plain):
        yield decoded, "encoded"


def _decoded(text: str) -> Iterator[str]:
    for piece in _BASE64.findall(text)[:MOST_DECODED]:
        try:
            bare = piece.rstrip("=").replace("-", "+").replace("_", "/")
            data = base64.b64decode(bare + "=" * (-len(bare) % 4))
        except binascii.Error:
            continue
        if (words := _words(data)) is not None:
            yield words
    for piece in _HEX.findall(text)[:MOST_DECODED]:
        if (words := _words(bytes.fromhex(re.sub("[ :]", "", piece)))) is not None:
            yield words


def _words(data: bytes) -> str | None:
    """The bytes as text where they are any."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if sum(char.isprintable() or char.isspace() for char in text) >= 0.95 * len(text) else None
