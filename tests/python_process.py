"""What an import pulls in, seen in a Python of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.command import environment


def imports_torch(*modules: str) -> bool:
    """Whether importing `modules` imports torch."""
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    return done.stdout == "True\n"
