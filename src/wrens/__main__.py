"""``python -m wrens`` is the command ``wrens``. Decides nothing."""

from wrens.cli import main

if __name__ == "__main__":
    main()
