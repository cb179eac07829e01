"""Commands as a user types them, in this process."""

from typer.testing import CliRunner

from foveal import cli


def foveal(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    argv = [str(word) for word in words]
    result = CliRunner().invoke(cli.build(argv), argv)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr
