"""`python -m actcli`, which is also what torchrun starts."""

from actcli.cli import main

if __name__ == "__main__":
    main()
