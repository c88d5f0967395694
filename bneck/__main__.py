"""``python -m bneck``: the command, where its script is not on the PATH."""

import sys

from bneck.cli import main

if __name__ == "__main__":
    sys.argv[0] = "bneck"  # which a run notes as its command
    main()
