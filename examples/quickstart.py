"""Trains a model on real digits, and shows what it has learnt: `python -m tfgen.quickstart`.

python examples/quickstart.py
python examples/quickstart.py --dataset mnist --download --model beta-vae --beta 4
python examples/quickstart.py --smoke
python examples/quickstart.py --show-code
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Read when tfgen loads TensorFlow.

from tfgen import quickstart  # noqa: E402

if __name__ == "__main__":
    sys.exit(quickstart.main())
