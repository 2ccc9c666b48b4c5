"""Imported by Python at its start, where this folder is on its path: see ``on_lambda.py``."""

import os
import sys
from pathlib import Path

if os.environ.get("WRENS_TESTS_ON") == "lambda":
    sys.path.append(str(Path(__file__).parents[1]))
    import on_lambda

    on_lambda.apply()
