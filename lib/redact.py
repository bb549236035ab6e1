"""Personal data and secrets in text, found by their form and replaced by a word in brackets that says what stood there.

Every pattern takes time linear in the text, or is checked when it is given (`safe_pattern`) and run on short pieces.

BadPattern   a pattern that is none, or could take for ever
"""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

LONGEST_PATTERN: Final = 300
MOST_PATTERNS: Final = 20
PIECE: Final = 512
"""A pattern of one's own sees a text in pieces so long,"""
OVERLAP: Final = 128
"""and so much beyond each: a match of that length is found wherever it stands."""
MOST_WAYS: Final = 5_000
"""How many ways a pattern's repetitions may share a piece among them."""


class BadPattern(ValueError):
    """Says what to change."""


class Kind(NamedTuple):
    name: str
    words: str
    """For people."""
    pattern: re.Pattern[str]
    hint: re.Pattern[str]
    """Where this is nowhere, the pattern is not looked for."""
    found: Callable[[str], int] | None = None
    """How many characters of what was found are really it; None: all."""


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit() and char.isascii())


def _card(text: str) -> int:
    digits = _digits(text)
    if not 14 <= len(digits) <= 19 or digits[0] not in "23456" or len(set(digits)) < 2:
        return 0
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return len(text) if sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0 else 0


_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip


def _iban(text: str) -> int:
    """Of a number that runs into the words behind it, what is the number."""
    length = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    taken = end = 0
    while end < len(text) and taken < length:
        taken += text[end].isalnum()
        end += 1
    bare = "".join(char for char in text[:end].upper() if char.isalnum())
    if not length or taken < length:
        return 0
    turned = "".join(str(int(char, 36)) for char in bare[4:] + bare[:4])
    return end if int(turned) % 97 == 1 else 0


def _phone(text: str) -> int:
    return len(text) if 7 <= len(_digits(text)) <= 15 else 0


def _address(text: str) -> int:
    """The longest beginning that is an address: a colon or full stop may follow one."""
    for end in range(len(text), max(2, len(text) - 2), -1):
        try:
            ipaddress.ip_address(text[:end])
        except ValueError:
            continue
        return end if end > 2 else 0
    return 0


_SECRETS: Final = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{1,10000}?-----END [A-Z ]{0,30}PRIVATE KEY-----",
    r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{4,}",
    r"\b(?:sk|pk|rk|ak)[-_](?:[A-Za-z0-9]{1,20}[-_])*[A-Za-z0-9_-]{16,}",
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    r"\b(?:gh[pousr]|gsk|hf|r8|npm|nvapi|xai|pplx|lin_api|dop_v1|shpat)[-_][A-Za-z0-9_-]{16,}",
    r"\b(?:github_pat_|glpat-|pypi-|xox[abeoprs]-|AIza|ya29\.|SG\.|AGE-SECRET-KEY-)[A-Za-z0-9._-]{16,}",
    r"(?i:\bbearer\s{1,3})[A-Za-z0-9._~+/-]{20,}=*",
    r"(?i:(?<=password)|(?<=passwd)|(?<=api_key)|(?<=apikey)|(?<=api-key)|(?<=secret)|(?<=token))\s{0,3}[=:]\s{0,3}[\"']?[^\s\"',;<>\[]{8,}",
)

_SECRET_HINT: Final = re.compile(
    r"[Kk]ey|KEY|eyJ|[spra]k[-_]|A(?:KI|SI|BI|CC)A|gh[pousr][-_]|gsk[-_]|hf[-_]|r8[-_]|npm[-_]|nvapi|xai[-_]|pplx|lin_api"
    r"|dop_v1|shpat|github_pat|glpat|pypi|xox[abeoprs]|AIza|ya29|SG\.|AGE-|(?i:bearer|passw|secret|token|apikey)"
)

KINDS: Final = (
    Kind("secret", "API keys, tokens, passwords", re.compile("|".join(_SECRETS)), _SECRET_HINT),
    Kind("email", "E-mail addresses", re.compile(r"(?<![\w.+%'-])[\w.+%'-]+@(?:[\w-]+\.)+[^\W\d_]{2,24}"),
         re.compile("@")),
    Kind("iban", "IBANs", re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,34}"),
         re.compile(r"[A-Za-z]{2}\d\d"), _iban),
    Kind("card", "Card numbers (checked by their last digit)",
         re.compile(r"(?<![A-Za-z0-9])\d(?:[ \u00a0-]?\d){13,18}(?![A-Za-z0-9])"), re.compile(r"\d"), _card),
    Kind("ip", "IP addresses",
         re.compile(r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)|(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?!\w))"),
         re.compile(r"[.:][0-9A-Fa-f]"), _address),
    Kind("phone", "Phone numbers",
         re.compile(r"(?<![\w.])(?:(?:\+|00)\d{1,3}[ \u00a0.()/-]{0,3}(?:\d[ \u00a0.()/-]{0,2}){5,13}\d"
                    r"|\(\d{2,5}\)[ -]?\d{3,4}[ .-]?\d{3,4}|\d{3}[ .-]\d{3}[ .-]\d{4}"
                    r"|0\d{1,4}[ /-]\d{3,8}(?:[ -]\d{1,5}){0,3})(?!\w)"),
         re.compile(r"\d{3}|\d[ .()/-]{1,3}\d"), _phone),
)  # fmt: skip
NAMES: Final = tuple(kind.name for kind in KINDS)


class Redactor:
    """Looks for kinds (of NAMES) and patterns (name, regular expression) of one's own. Raises BadPattern."""

    def __init__(self, kinds: Iterable[str] = (), patterns: Sequence[tuple[str, str]] = ()) -> None:
        wanted = set(kinds)
        self._kinds = [kind for kind in KINDS if kind.name in wanted]
        self._own = [(name, safe_pattern(text)) for name, text in patterns[:MOST_PATTERNS]]

    def __bool__(self) -> bool:
        return bool(self._kinds or self._own)

    def redact(self, text: str, counts: Counter[str]) -> str:
        """The text with `[EMAIL]` and the like in it; what was found is added to `counts`."""
        for name, pattern in self._own:
            text = _replaced(text, _pieces(pattern, text), name, counts)
        for kind in self._kinds:
            if kind.hint.search(text):
                text = _replaced(text, _spans(kind, text), kind.name, counts)
        return text

    def value(self, value: Any, counts: Counter[str]) -> Any:
        """The same of a JSON value: its texts, names and whole numbers. What holds nothing is given back as it is."""
        if isinstance(value, str):
            return self.redact(value, counts)
        if isinstance(value, dict):
            return {self.redact(name, counts): self.value(held, counts) for name, held in value.items()}
        if isinstance(value, list):
            return [self.value(held, counts) for held in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**6:
            said = self.redact(str(value), counts)
            return value if said == str(value) else said
        return value


def _spans(kind: Kind, text: str) -> Iterable[tuple[int, int]]:
    place = 0
    while match := kind.pattern.search(text, place):
        size = len(match[0]) if kind.found is None else kind.found(match[0])
        if size:
            yield match.start(), match.start() + size
        place = match.start() + (size or 1)


def _pieces(pattern: re.Pattern[str], text: str) -> Iterable[tuple[int, int]]:
    place = 0
    while place < len(text):
        match = pattern.search(text, place, place + PIECE + OVERLAP)
        if match is None or match.start() >= place + PIECE:
            place += PIECE
        else:
            if match[0]:
                yield match.span()
            place = max(match.end(), place + 1)


def _replaced(text: str, spans: Iterable[tuple[int, int]], name: str, counts: Counter[str]) -> str:
    kept, end = [], 0
    for start, stop in spans:
        kept += [text[end:start], f"[{name.upper()}]"]
        end = stop
        counts[name] += 1
    return "".join((*kept, text[end:])) if kept else text


# --- patterns of one's own --------------------------------------------------------------------------------------------


def safe_pattern(text: str) -> re.Pattern[str]:
    """The pattern, if it is one that cannot take long on a short text. Raises BadPattern."""
    if not 0 < len(text) <= LONGEST_PATTERN:
        raise BadPattern(f"A pattern has 1 to {LONGEST_PATTERN} characters.")
    try:
        with warnings.catch_warnings(action="error"):
            compiled, tree = re.compile(text), parser.parse(text)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise BadPattern(f"This is no regular expression: {error}.") from None
    if compiled.match(""):
        raise BadPattern("It matches where nothing stands: let it name at least one character.")
    if _ways(tree, is_repeated=False) > MOST_WAYS:
        raise BadPattern("It could take too long: bound what repeats, such as \\w{1,40} instead of \\w+.")
    return compiled


def _ways(tree: Any, *, is_repeated: bool) -> int:
    """In how many ways at most a piece is tried from one place. Raises BadPattern for what multiplies without end."""
    ways = 1
    for code, held in tree:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            least, most, inner = held
            spread = min(int(most), PIECE) - min(int(least), PIECE) + 1
            if spread > 1 and is_repeated:
                raise BadPattern("A repetition stands inside a repetition, such as (a+)+: take one of them out.")
            ways *= spread * _ways(inner, is_repeated=is_repeated or int(most) > 1)
        elif code is codes.BRANCH:
            if is_repeated:
                raise BadPattern("Alternatives stand inside a repetition, such as (a|b)+: use a class such as [ab]+.")
            ways *= sum(_ways(branch, is_repeated=False) for branch in held[1])
        elif code is codes.SUBPATTERN:
            ways *= _ways(held[3], is_repeated=is_repeated)
        elif code in (codes.ASSERT, codes.ASSERT_NOT):
            ways *= _ways(held[1], is_repeated=is_repeated)
        elif code is codes.ATOMIC_GROUP:
            ways *= _ways(held, is_repeated=is_repeated)
        elif code in (codes.GROUPREF, codes.GROUPREF_EXISTS):
            raise BadPattern("References to groups are not taken.")
    return ways
