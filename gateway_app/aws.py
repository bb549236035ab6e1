"""Calls to AWS: signed anew with the credentials a client sends beside them, or already signed by itself.

The signature a client's SDK makes is for this server's own name and would be refused, so it is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final

from gateway_app import signing
from gateway_app.errors import REGION_MISSING, AwsKeysMissing, RegionMissing
from gateway_app.signing import Keys, Request, Scope

ACCESS, SECRET, TOKEN, REGION = "aws-access-key", "aws-secret-key", "aws-session-token", "aws-region"
_SERVICES: Final = ("bedrock", "sagemaker")
"""The region stands behind them in a host's name."""
_TAKEN_OFF: Final = ("x-amz-date", "x-amz-security-token", "x-amz-content-sha256")
WHAT_TO_SEND: Final = (
    f"Send your AWS credentials in the headers '{ACCESS}' and '{SECRET}' (and '{TOKEN}' for temporary ones), and the "
    f"call is signed here; or a Bedrock API key in 'Authorization: Bearer ...'. A call already signed for AWS's own "
    f"host goes through with 'Helicone-Target-URL: https://bedrock-runtime.<region>.amazonaws.com'."
)


def keys_of(headers: Mapping[str, str], *, is_client_target: bool) -> Keys | None:
    """The credentials to sign with; None where the client has seen to it. Raises AwsKeysMissing."""
    access, secret = headers.get(ACCESS, "").strip(), headers.get(SECRET, "").strip()
    if access and secret:
        return Keys(access, secret, headers.get(TOKEN, "").strip())
    if access or secret:
        raise AwsKeysMissing(f"The header '{SECRET if access else ACCESS}' is missing. {WHAT_TO_SEND}")
    authorization = headers.get("authorization", "")
    if is_client_target or _is_api_key(authorization):
        return None
    if authorization.startswith(signing.ALGORITHM):
        raise AwsKeysMissing(f"This call is signed for this server's name, which AWS does not accept. {WHAT_TO_SEND}")
    raise AwsKeysMissing(f"No AWS credentials came with this call. {WHAT_TO_SEND}")


def _is_api_key(authorization: str) -> bool:
    return authorization.lower().startswith("bearer ") and "k-helicone-" not in authorization


def region_of(headers: Mapping[str, str], *, route_region: str, host: str) -> str:
    """Where the call is signed for: as the path or a header says, else as the host does. Raises RegionMissing."""
    if told := route_region or headers.get(REGION, "").strip():
        return told
    for service, region in pairwise(host.split(".")):
        if service.startswith(_SERVICES) and region.count("-") > 1:
            return region
    raise RegionMissing(REGION_MISSING)


def signed(request: Request, keys: Keys, scope: Scope, *, at: datetime) -> dict[str, str | None]:
    """Headers to send otherwise than they came (None: not at all), so that AWS takes the request."""
    sent = {name: value for name, value in request.headers.items() if name not in _TAKEN_OFF}
    return {**dict.fromkeys(_TAKEN_OFF), **signing.sign(request._replace(headers=sent), keys, scope, at=at)}
