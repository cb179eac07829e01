"""Names from outside: never raw on a terminal, never a formula in a spreadsheet, always the same name in JSON."""

import csv
import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.errors import BadImage
from foveal.formats import FORMATS, Entry, entry_bytes, to_json
from foveal.options import Options
from foveal.terminal import printable, say
from tests.helpers.packages import colour_manifest

HOSTILE = "\x1b[31mred\x07\x9b2J\u202egnp.exe\u2066\u200b\udcff\x7f\r"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c in "\n\u3000\xa0" or c.isspace() for c in shown)
    assert not any((c < " " and c != "\n") or "\x7f" <= c <= "\x9f" for c in shown)
    if text.isprintable():
        assert shown == text


def test_escapes_name_the_character_and_lines_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    shown = r"\x1b[31mred\x07\x9b2J\u202egnp.exe\u2066\u200b\xff\x7f\x0d"
    assert printable(HOSTILE) == shown
    assert printable("猫 é\u3000.png") == "猫 é\u3000.png"
    say("a.png\nfoveal: all is well")
    assert capsys.readouterr().err == "foveal: a.png\n    foveal: all is well\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_escapes_and_means_the_same(text: str) -> None:
    data = to_json({"name": text}).decode()
    assert json.loads(data) == {"name": text}
    assert not any(c < " " or "\x7f" <= c <= "\x9f" or c in "\u2028\u2029\u202e\u2066\ufeff" for c in data)


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+1",
        "-1.png",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        '=HYPERLINK("x")',
        " =1",
        "\xa0+1",
        "\u3000=1",
        "\ufeff=1",
        "＝1",
    ],
)
def test_no_text_of_a_csv_is_a_formula(name: str) -> None:
    writer = FORMATS["csv"](colour_manifest().pipeline, Options())
    data = writer.write(Entry(name, BadImage(f"{name}: no"))).decode()
    (row,) = csv.reader(io.StringIO(data, newline=""))
    assert row[0] == f"'{name}"
    assert row[-1] == f"'{name}: no"


def test_numbers_of_a_csv_stay_numbers() -> None:
    writer = FORMATS["csv"](colour_manifest().pipeline, Options())
    assert writer._lines([{"image": "a.png", "score": -0.25}]).decode() == "a.png,,,,-0.25,\n"


def test_two_names_that_are_no_utf8_stay_two_and_are_told_apart() -> None:
    names = [os.fsdecode(b"\xe4\xff.png"), os.fsdecode(b"\xe4\xfe.png"), "\ud800.png", "\xe4.png", r"\xe4.png"]
    entries = [Entry(name, BadImage("no")) for name in names]
    shown = [r"\xe4\xff.png", r"\xe4\xfe.png", r"\ud800.png", "\xe4.png", r"\xe4.png"]
    assert [entry.text_name for entry in entries] == shown
    spec = colour_manifest().pipeline
    for entry, name in zip(entries, shown, strict=True):
        (row,) = csv.reader(io.StringIO(FORMATS["csv"](spec, Options()).write(entry).decode(), newline=""))
        assert row[0] == name
        assert json.loads(entry_bytes(entry, spec.task, Options()))["image"]["name"] == name
