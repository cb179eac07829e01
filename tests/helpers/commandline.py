"""Commands as a user types them, in this process."""

import sys
from pathlib import Path

from typer.testing import CliRunner

from foveal import cli


def foveal(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    argv = [str(word) for word in words]
    result = CliRunner().invoke(cli.build(argv), argv)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def predict_command(zoo: Path, out: Path, folder: Path, *more: str) -> list[str]:
    code = "from foveal.cli import main; main()"
    fixed = ["predict", str(folder), "--model", "colours", "--zoo", str(zoo), "--out", str(out)]
    return [sys.executable, "-c", code, *fixed, *more]
