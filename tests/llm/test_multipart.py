"""Forms are told by their content, and give what was asked of the model; files stay out of it."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import multipart, render
from llm.exchange import Body
from llm.parse import parse
from tests.wire.exchanges import exchange

SOUND = b"RIFF\x00\r\n\r\n\xff--not-the-boundary\r\n"


def form(*pieces: bytes, end: bytes = b"\r\n") -> bytes:
    parts = b"".join(b"--b0und" + end + piece.replace(b"\n", end) + end for piece in pieces)
    return parts + b"--b0und--" + end


def field(name: str, value: str, *, quote: str = '"') -> bytes:
    return f"Content-Disposition: form-data; name={quote}{name}{quote}\n\n{value}".encode()


FILE = b'Content-Disposition: form-data; name="file"; filename="heron, old.wav"\nContent-Type: audio/wav\n\n' + b"RIFF"


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_fields_are_read_and_files_described(end, quote):
    found = multipart.fields(form(field("model", "whisper-1", quote=quote), FILE, end=end))
    about = {"filename": "heron, old.wav", "content_type": "audio/wav", "bytes": 4}
    assert found == {"model": "whisper-1", "file": about}


def test_repeated_fields_and_fields_named_as_lists_are_lists():
    data = form(field("include[]", "a"), field("image", "1"), field("image", "2"), field("image", "3"))
    assert multipart.fields(data) == {"include": ["a"], "image": ["1", "2", "3"]}


def test_a_file_may_hold_anything():
    head = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    data = b"--b0und\r\n" + head + SOUND + b"\r\n--b0und\r\n" + field("model", "m").replace(b"\n", b"\r\n") + b"\r\n"
    found = multipart.fields(data + b"--b0und--\r\n")
    assert (found["model"], found["file"]["bytes"]) == ("m", len(SOUND))


def test_a_part_whose_headers_come_in_another_order_is_read():
    data = form(b'Content-Type: text/plain\nContent-Disposition: form-data; name="prompt"\n\nBlue')
    assert multipart.looks_like(data)
    assert multipart.fields(data) == {"prompt": "Blue"}


@pytest.mark.parametrize("other", [b"", b"--", b"-- just text", b'{"model": "m"}', b"--x\r\nSubject: a letter\r\n\r\n"])
def test_what_is_no_form_is_not_taken_for_one(other):
    assert not multipart.looks_like(other)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_broken_form_never_raises(noise, cut):
    data = form(field("model", "m"), FILE, field("prompt", "p"))
    multipart.fields(data[:cut] + noise + data[cut:])
    multipart.fields(b"--b0und\r\n" + noise)


@given(st.integers(150, 400))
def test_of_a_cut_form_the_fields_before_the_cut_are_left(cut):
    data = form(field("model", "m"), FILE, field("prompt", "p" * 300))
    assert multipart.fields(data[:cut])["model"] == "m"


def test_a_compressed_form_is_read():
    body = Body(gzip.compress(form(field("model", "whisper-1"), FILE)), content_encoding="gzip")
    reading = parse(exchange(url="https://api.openai.com/v1/audio/transcriptions", request=body))
    assert (reading.request_model, reading.request_preview) == ("whisper-1", "heron, old.wav")


def test_a_form_is_shown_with_its_files():
    shown = render.conversation(
        dialect="openai_audio", request=form(field("model", "whisper-1"), field("prompt", "Birds"), FILE),
        response=b'{"text": "A heron."}',
    )
    (asked,), (answered,) = shown.messages, shown.reply
    told = [(part.kind, part.text or part.name) for part in asked.parts]
    assert told == [("text", "Birds"), ("file", "heron, old.wav")]
    assert answered.parts[0].text == "A heron."
