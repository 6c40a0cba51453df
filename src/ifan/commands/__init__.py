"""The command line: each command parses its arguments, calls the package, and prints."""

from __future__ import annotations

from ifan.commands import stopping


def main() -> None:
    """Run the command line and exit.

    The status is 0 if all was done or skipped, 1 if something failed, 2 after bad use, 130 after
    Ctrl-C and 143 after SIGTERM.
    """
    stopping.listen()
    try:
        with stopping.deferred():
            from ifan.commands import program
        program.run()
    except stopping.Stopped:
        stopping.end()
    finally:
        stopping.no_longer_listen()
