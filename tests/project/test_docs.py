"""The documents name only what exists: commands, options, make targets, files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from foveal.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "deploy/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))


def shell_lines(text: str) -> list[str]:
    """Lines of ```sh blocks, continuation lines joined, comments cut."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.split(" #")[0].strip() for line in joined.splitlines() if line.strip()]


def invocations(text: str) -> list[list[str]]:
    return [
        re.split(r"\s+", call) for line in shell_lines(text) for call in re.findall(r"\bfoveal ([a-z][^|;&]*)", line)
    ]


def command_of(words: list[str]) -> str | None:
    return next((path for path in COMMANDS if words[: len(path.split())] == path.split()), None)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_shell_lines_name_real_commands_and_targets(path: Path) -> None:
    text = path.read_text()
    for words in invocations(text):
        assert command_of(words), f"{path.name}: no command `foveal {' '.join(words)}`"
    for line in shell_lines(text):
        for target in re.findall(r"(?:^|&& )make ([a-z-]+)", line):
            assert target in TARGETS, f"{path.name}: no target `make {target}`"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_and_images_exist(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_option_shown_is_an_option_of_its_command() -> None:
    helps: dict[str, str] = {}
    for path in DOCUMENTS:
        for words in invocations(path.read_text()):
            command = command_of(words)
            assert command
            if command not in helps:
                code = "from foveal.cli import main; main()"
                call = [sys.executable, "-c", code, *command.split(), "--help"]
                helps[command] = subprocess.run(call, capture_output=True, text=True).stdout
            for option in (word.split("=")[0] for word in words if word.startswith("--")):
                assert re.search(rf"{option}\b", helps[command]), f"{path.name}: `foveal {command}` has no {option}"


def test_every_command_is_documented() -> None:
    reference = (ROOT / "docs" / "CLI.md").read_text()
    for path in COMMANDS:
        assert f"## foveal {path}\n" in reference, f"docs/CLI.md: no section for `foveal {path}`"
