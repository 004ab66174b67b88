"""`python -m hyperevo`."""

import sys
from pathlib import Path

# Python puts the working directory first where it looks for modules. There may lie anything, a `torch.py` too; code of
# guests is found by `hyperevo.guests`, and the console script and this way in import the same.
if not sys.flags.safe_path and sys.path and Path(sys.path[0] or ".").resolve() == Path.cwd():
    del sys.path[0]

from hyperevo.signals import leave, stopping_at_once

try:
    with stopping_at_once():
        from hyperevo.cli import main

    try:
        main()
    except SystemExit as over:
        leave(int(over.code or 0))
except KeyboardInterrupt:  # of a signal that came before the command line could take it
    sys.stderr.write("Stopped.\n")
    raise SystemExit(130) from None
