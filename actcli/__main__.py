"""`python -m actcli`, which is also what torchrun starts."""

import os
import signal


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)


def run() -> None:
    """Run the program; a signal while it is still being imported ends it without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from actcli.cli import main

    main()


if __name__ == "__main__":
    run()
