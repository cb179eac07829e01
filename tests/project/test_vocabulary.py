"""Vocabulary: the field's standard terms, and none of the words that this project used for them before."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = {".py", ".md", ".toml", ".js", ".html", ".css", ".yaml", ".yml", ".sh", ".json", ""}
EXEMPT = ("CHANGELOG.md", "LICENSE", "tests/project/test_vocabulary.py", "requirements/")


@dataclass(frozen=True)
class Retired:
    """A word that may not come back, what to say instead, and where the same letters mean something else."""

    pattern: str
    instead: str
    elsewhere: str = r"(?!)"  # path:line that may have it


RETIRED = (
    Retired(r"picture", "image"),
    Retired(
        r"canvas",
        "model input, input_hw",
        r"^(service/ui/|tests/helpers/(browser|playground)|tests/service/test_playground|docs/images\.py)"
        r"|HTML canvas|canvas_size=",
    ),
    Retired(
        r"\bkernels?\b",
        "core; for the operating system's: operating system",
        r"^models/(backbones|segmentation|detection)/.*(kernel_size|kernel\b)|convolution kernel",
    ),
    Retired(r"trunk", "backbone", r"truncat|network\.trunk_output"),
    Retired(r"\bplugs?\b|\bplugged\b", "TaskTrainer"),
    Retired(r"\bstray(s|ing)?\b", "divergent, diverge"),
    Retired(r"\bslivers?\b", "extreme aspect ratio"),
    Retired(r"\bFrame\b|\bframe_of\b|training frame", "ImageTransform; training loop"),
    Retired(r"\bDraw\(|DrawSampler", "SampleKey, SampleKeySampler"),
    Retired(r"learn_val|val_learnt", "train_on_val"),
    Retired(r"\bsay[=:]|\b_say\(|: Say\b|\bSay =", "log"),
    Retired(r"\b_?told\b", "reported"),
    Retired(r"while_connected_presence|presence\.py", "disconnect.py"),
    Retired(r"\bCONTRACT\b|\bcontract, decision\b", "what the document says itself: it is not in the repository"),
    Retired(r"docs/API\.md", "docs/HTTP.md"),
)


def lines() -> list[tuple[str, str]]:
    """(path:number, line) of every text file that git tracks."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    found = []
    for name in names:
        path = ROOT / name
        if name and not name.startswith(EXEMPT) and path.suffix in TEXT and path.is_file():
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            found += [(f"{name}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    return found


LINES = lines()


@pytest.mark.parametrize("word", RETIRED, ids=lambda word: word.instead)
def test_retired_words_do_not_come_back(word: Retired) -> None:
    pattern, elsewhere = re.compile(word.pattern, re.IGNORECASE), re.compile(word.elsewhere)
    if re.search(r"[A-Z]", word.pattern):
        pattern = re.compile(word.pattern)
    found = [
        f"{where}: {line.strip()[:100]}"
        for where, line in LINES
        if pattern.search(line) and not elsewhere.search(f"{where}: {line}")
    ]
    assert not found, f"say {word.instead}:\n" + "\n".join(found[:20])


def test_no_file_is_named_by_a_retired_word() -> None:
    for where, _ in LINES:
        name = where.split(":")[0]
        assert not re.search(r"picture|kernel|trunk|presence|canvas", name), name
