"""Run the command line as a user does: a process of its own."""

import io
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from glitbuild.cli import main

GLITBUILD = str(Path(sys.executable).with_name("glitbuild"))


def glitbuild(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``glitbuild ARGS`` and return what it printed."""
    command = [GLITBUILD, *(str(arg) for arg in args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280, check=False)


def done(*args: object, cwd: Path | None = None) -> str:
    """Run ``glitbuild ARGS``, see that it succeeds, and return its standard output."""
    result = glitbuild(*args, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return result.stdout


def here(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``glitbuild ARGS`` in this process, which saves the seconds that importing torch takes."""
    words, out, err = [str(arg) for arg in args], io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        try:
            main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def tree(folder: Path, *patterns: str) -> dict[str, bytes]:
    """Return the content of all files below a folder, by name."""
    found = (path for pattern in patterns or ("*",) for path in folder.rglob(pattern))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}
