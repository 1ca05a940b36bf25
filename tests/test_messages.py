"""What people read when something is wrong: reviewed word for word, and held to the style of the house.

After a change of words, `python -m tests.regenerate` writes `snapshots/messages.json` anew; its diff is the review.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from registry.codes import meanings
from tests.regenerate import MESSAGES, messages

LONGEST = 300
NOTHING_WRITTEN = frozenset({"missing-field"})
"""Codes of what was left out: there is no value to show."""
PYTHON = re.compile(r"<class|<function|\bobject at 0x|\bNone\b|\bTrue\b|\bFalse\b|InputSpec|\bValueError\b|\bdtype\b")
SPEAKS_OF_PYTHON = frozenset({"not-plain-data"})
"""Codes of Python mappings, which no file can give."""
QUOTES_THE_USER = frozenset({"yaml-surprise"})
"""Codes whose message repeats a word of the document, such as `True` or `None`, because it is refused."""


def test_messages_are_the_reviewed_ones() -> None:
    written = json.loads(MESSAGES.read_text(encoding="utf-8"))
    now = messages()
    assert sorted(now) == sorted(written), "run python -m tests.regenerate"
    changed = {key: (written[key], rows) for key, rows in now.items() if rows != written[key]}
    assert not changed, "run python -m tests.regenerate and review the diff"


def _every() -> Iterator[Any]:
    seen = set()
    for key, rows in messages().items():
        for number, row in enumerate(rows):
            said = (row["code"], row["message"], row["hint"])
            if said not in seen:
                seen.add(said)
                yield pytest.param(row, id=f"{key}-{number}")


EVERY = list(_every())


@pytest.mark.parametrize("row", EVERY)
def test_style(row: dict[str, Any]) -> None:
    message, hint, code = row["message"], row["hint"], row["code"]
    assert message.startswith("Expected ")
    assert len(message) <= LONGEST
    assert ", got" in message or code in NOTHING_WRITTEN
    assert not re.search(r"\.\s+[A-Z]", message), "more than one sentence"
    for text in (message, hint):
        assert text == text.strip()
        assert not re.search(r"(?<!\.\.)\.$", text), "full stop"
        assert "  " not in text
        assert text.isprintable()
        assert "{" not in re.sub(r"\$?\{[a-z.:, \[\]0-9_()*-]*\}", "", text) or code.startswith("reference-")
    if code not in SPEAKS_OF_PYTHON:
        assert not PYTHON.search(message) or code in QUOTES_THE_USER
        assert not PYTHON.search(hint) or code in QUOTES_THE_USER
    assert hint, "what to try"


def test_every_code_of_a_component_is_in_the_snapshot() -> None:
    said = {row["code"] for rows in messages().values() for row in rows}
    assert set(meanings()) - said <= {"broken-component", "cost-unknown"}
