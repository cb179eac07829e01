"""The script `foveal`, and `python -m foveal`: Ctrl-C while the libraries load is no fault."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from foveal.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell has it: 128 and the signal's number


if __name__ == "__main__":
    main()
