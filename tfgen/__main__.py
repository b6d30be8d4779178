"""`python -m tfgen`, the command `tfgen`."""

import sys

from tfgen.command import main

if __name__ == "__main__":
    sys.exit(main())
