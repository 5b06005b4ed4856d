"""Programs called nvidia-smi, put on PATH: they answer as the real one does on machines that we do not have."""

import os
import sys

import pytest

# Like the real program, this one knows only some fields: "compute_cap" came with driver 510.
ANSWERING = """#!{python}
import sys
fields = dict(zip(("index", "name", "memory.total", "driver_version", "compute_cap"), range(5)))
asked = next(a for a in sys.argv[1:] if a.startswith("--query-gpu=")).partition("=")[2].split(",")
if "compute_cap" in asked and {old}:
    print('Field "compute_cap" is not a valid field to query.\\n')
    sys.exit(2)
for line in {lines!r}:
    values = line.split(", ")
    print(", ".join(values[fields[field]] for field in asked))
"""
FAILING = """#!/bin/sh
cat <<'END'
{said}
END
exit {code}
"""
HANGING = "#!/bin/sh\nexec sleep 60\n"
NO_DRIVER = """NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest \
NVIDIA driver is installed and running.
"""
needs_scripts = pytest.mark.skipif(os.name == "nt", reason="a script without an .exe")


def on_path(folder, monkeypatch, text):
    """Put a program before all others; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program


def answering(*lines, old=False):
    """The program of a machine with these cards: index, name, MiB, driver, compute capability."""
    return ANSWERING.format(python=sys.executable, lines=lines, old=old)


def failing(said, code=9):
    """One that prints and fails."""
    return FAILING.format(said=said.strip(), code=code)
