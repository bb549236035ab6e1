"""Pages keep to a policy without inline script or style, so templates may not contain any."""

from __future__ import annotations

import re

import pytest

from tests.house import source

INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=[\"']application/json)[^>]*>"
    r"|<style\b|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|\bhx-on\b|javascript:|\|\s*safe\b|{%\s*autoescape\s+off",
    re.IGNORECASE,
)


def templates():
    return [path for path in source.files() if path.suffix in {".html", ".svg"} and "templates" in path.parts]


def test_templates_hold_no_script_no_style_and_nothing_unescaped():
    found = {
        f"{path}:{number}": line.strip()
        for path in templates()
        for number, line in enumerate(source.text(path).splitlines(), 1)
        if INLINE.search(line)
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    ["<script>x</script>", '<p style="a">', '<a onclick="x">', "{{ a|safe }}", "<style>", '<b hx-on:click="x">'],
)
def test_the_test_above_sees_what_it_looks_for(line):
    assert INLINE.search(line)


@pytest.mark.parametrize("line", ["<script src=\"{% static 'x.js' %}\" defer></script>", '<a class="one" href="#">'])
def test_and_lets_pass_what_is_fine(line):
    assert not INLINE.search(line)
