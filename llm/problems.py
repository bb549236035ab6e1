"""The closed list of what can be odd about a capture; `Problem.code` is one of these."""

from __future__ import annotations

from typing import Final

CODES: Final = {
    "unreadable": "Reading this exchange failed; its bytes are kept as they came.",
    "request_not_json": "The request body is not JSON.",
    "response_not_json": "The reply is not JSON, an event stream or JSON lines.",
    "html_response": "The reply is an HTML page: usually a proxy or a wrong address, not the provider.",
    "response_empty": "The reply has no body.",
    "stream_truncated": "The stream ended before its last event.",
    "event_unreadable": "Some events of the stream are not JSON and were skipped.",
    "error_in_200": "The provider answered 200 with an error inside.",
    "error_in_stream": "An error came in the middle of the stream.",
    "usage_missing": "The reply tells no token counts.",
    "usage_odd": "The provider's token counts contradict each other: a part is larger than its total.",
    "usage_beside": "Tokens of an advisor or a compaction, beside the totals: in the cost if their model has a price.",
    "usage_key_unknown": "The provider tells a number of its usage that no rule here knows; it may be charged for.",
    "encoding_unknown": "The body's content-encoding is not one this product decodes (gzip, deflate, zstd).",
    "encoding_broken": "The compressed body is broken or cut; what could be decoded was read.",
    "body_too_large": "The decoded body is larger than is read; only its start was.",
    "body_cut": "The middle of the body was not captured; what could be found in the rest was read.",
    "counted_in_child": "Another record of its trace tells the same call; only that one is counted.",
    "promoted_agent": "No model call came below this step in ten minutes: the usage it reports is counted as its own.",
    "answered_later": "Made in the background; its usage was told when it was looked up, by the request named.",
    "span_id_missing": "The span came without its ids; it is kept as one nothing can point at.",
    "time_missing": "No time was told; it stands where it arrived.",
    "client_error_text": "The client put an error text before the reply it logged.",
}
