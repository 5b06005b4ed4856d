"""The commands of build.py.  Each sets up what it needs, then hands over to that environment's Python."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from tools import docs
from tools.doctor import doctor
from tools.environments import Environment, SetUpError, environments, newer_blenders, wire_environment
from tools.installing import set_up
from tools.locks import write_locks
from tools.package import package, report
from tools.pythons import python_of
from tools.release import release
from tools.tiers import Plan, parallel, plan
from tools.torch_build import forget_wrong_build
from tools.wheels import wheels
from tools.window import ROOT_VARIABLE, SUITES, blender_root

ROOT = Path(__file__).resolve().parents[1]
SLUG_LENGTH = 60
# Tests of the add-on that talk to a whole backend.
NEED_TORCH = (
    "--ignore=tests/addon/test_goodbyes.py",
    "--ignore=tests/addon/test_heartbeat.py",
    "--deselect=tests/addon/test_kit_maker.py::test_the_backend_makes_the_kit_and_takes_up_what_is_there",
)
FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code, that of the command where it is another program's."""
    parser = argparse.ArgumentParser(
        prog="build.py", description="Text to Gaussian splats and a textured mesh in Blender.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="a sentence -> splats, mesh, turntable, scene.blend", allow_abbrev=False)
    demo.add_argument("prompt")
    demo.add_argument("--out", type=Path, help="folder for the results (out/PROMPT); other options go to `generate`")
    test = commands.add_parser(
        "test", help="every test, or those of a path or -k; options go to pytest", add_help=False, allow_abbrev=False
    )
    test.add_argument("--window", nargs="?", const="trixie", choices=SUITES, help="those in a Blender with a window")
    test.add_argument("--python", choices=("3.12", "3.13"), help="those of the wire and the add-on, in a newer Python")
    test.add_argument("--quick", action="store_true", help="closed forms alone: no server, no whole job, no Blender")
    bench = commands.add_parser("bench", help="where the time goes", allow_abbrev=False)
    bench.add_argument("--json", type=Path, help="write the figures there too")
    made = commands.add_parser(
        "release", help="a version: its commit, tag and zips; pushes nothing", allow_abbrev=False
    )
    made.add_argument("version", help="as 1.2.3")
    for name, text in (
        ("serve", "the backend that Blender talks to; options go to `python -m backend serve`"),
        ("package", "the extension's zips and a repository of them, in dist"),
        ("setup", "make the environments, nothing else"),
        ("docs", "the documentation site, in work/site; --out DIR"),
        ("lock", "write the locks anew, after a change of pyproject.toml (needs uv)"),
        ("doctor", "what is installed, what is missing, what mends it"),
    ):
        commands.add_parser(name, help=text, add_help=False, allow_abbrev=False)
    args, others = parser.parse_known_args(arguments)
    if others and args.command in ("bench", "package", "setup", "doctor", "lock", "release"):
        parser.error(f"{args.command} takes no options")
    try:
        return _run(args, others)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nStopped.  The next call goes on from here.", file=sys.stderr)
        return INTERRUPTED


def _run(args: argparse.Namespace, others: list[str]) -> int:  # noqa: PLR0911
    backend, blender = environments(ROOT)
    match args.command:
        case "doctor":
            return doctor(ROOT)
        case "demo":
            set_up(backend, "run")
            set_up(blender, "run")
            return _demo(backend, blender, args.prompt, args.out or demo_folder(args.prompt, ROOT), others)
        case "test" if args.python:
            return _wire_test(args.python, others)
        case "test":
            if args.window:
                set_up(backend, "run", "dev")
                return _window_test(backend, args.window, others)
            return _test(backend, blender, plan(others, args.quick, ROOT))
        case "package":
            set_up(blender, "run")
            return _package(blender)
        case "release":
            set_up(blender, "run")
            print(f"Tagged {release(ROOT, args.version, lambda: _package(blender))}; push it when you like.")
        case "bench":
            set_up(backend, "run")
            set_up(blender, "run")
            return _bench(backend, blender, [f"--json={args.json}"] if args.json else [])
        case "setup":
            forget_wrong_build(backend)
            set_up(backend, "run", "dev")
            set_up(blender, "run")
        case "docs":
            return docs.main(others)
        case "lock":
            write_locks(ROOT)
        case "serve":
            set_up(backend, "run")
            return _call(backend, "-m", "backend", "serve", *others)
    return 0


def slug(prompt: str) -> str:
    """A folder's name from a sentence: lower-case words and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")
    return words[:SLUG_LENGTH].strip("-") or "untitled"


def demo_folder(prompt: str, root: Path) -> Path:
    """Where a demo of this sentence goes: out/a-wooden-chair; with a digest where another sentence would go there too.

    Only lower-case words with single spaces make a name as it stands, so that no two sentences share a folder.
    """
    name = slug(prompt)
    if name != prompt.replace(" ", "-") or "-" in prompt:
        name = f"{name}__{sha256(prompt.encode()).hexdigest()[:8]}"
    return root / "out" / name


def _demo(backend: Environment, blender: Environment, prompt: str, out: Path, options: list[str]) -> int:
    code = _call(backend, "-m", "backend", "generate", f"--prompt={prompt}", f"--out={out}", *options)
    if code == 0:
        code = _call(blender, "-m", "blender_addon.scene.scene_file", str(out))
    if code == 0:
        print(f"\nIn {out}:")
        for file in sorted(out.iterdir()):
            print(f"  {file.name:24} {file.stat().st_size / 1024:10,.0f} KiB")
    return code


def _test(backend: Environment, blender: Environment, tests: Plan) -> int:
    """The backend's tests, those in Blender's Python, and in newer ones; also where the first ones fail."""
    codes = []
    if tests.backend is not None:
        set_up(backend, "run", "dev")
        if tests.whole:
            codes.append(_spread_test(backend, blender, tests))
        else:
            codes.append(_call(backend, "-m", "pytest", *tests.backend, folder=ROOT))
    if tests.blender is not None:
        codes += _blender_tests([blender, *(newer_blenders(ROOT) if tests.whole else ())], tests.blender)
    return next((code for code in codes if code), 0)


def _blender_tests(blenders: Sequence[Environment], tests: Sequence[str]) -> list[int]:
    """One Blender's tests as they come; of several two run at once, and what each printed comes when it has ended."""
    for environment in blenders:
        set_up(environment, "run")
    if len(blenders) == 1:
        return [_call(blenders[0], "-m", "pytest", *tests, folder=ROOT)]
    wheels(ROOT, blenders[0].python)  # or each would fetch them into the same folder
    codes = []
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_captured, environment, "-m", "pytest", *tests) for environment in blenders]
        for environment, run in zip(blenders, runs, strict=True):
            code, printed = run.result()
            print(f"\n{environment.folder.name}:\n{printed}", flush=True)
            codes.append(code)
    return codes


def _spread_test(backend: Environment, blender: Environment, tests: Plan) -> int:
    """On every core, a file each.  One thread for each process: more would wait for each other."""
    if tests.blender is not None:
        set_up(blender, "run")  # some of the backend's tests call it
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": "1"}
    return _call(backend, "-m", "pytest", *parallel(), *tests.backend or (), folder=ROOT, more=threads)


def _wire_test(version: str, options: list[str]) -> int:
    """What runs without torch: the wire, and the add-on's parts that need no Blender."""
    major, minor = map(int, version.split("."))
    python = python_of((major, minor))
    if python is None:
        raise SetUpError(f"Python {version} is not here: install python{version}.")
    environment = wire_environment(ROOT, python)
    set_up(environment, "run")
    return _call(environment, "-m", "pytest", "tests/shared", "tests/addon", *NEED_TORCH, *options, folder=ROOT)


def _window_test(backend: Environment, suite: str, options: list[str]) -> int:
    os.environ[ROOT_VARIABLE] = str(blender_root(ROOT, suite))
    return _call(backend, "-m", "pytest", "tests/window", *options, folder=ROOT)


def _bench(backend: Environment, blender: Environment, file: list[str]) -> int:
    return _call(backend, "-m", "backend", "bench", *file) or _call(blender, "-m", "tools.bench_addon", *file)


def _package(blender: Environment) -> int:
    package(ROOT, blender.python, ROOT / "dist")
    print(report(ROOT / "dist"))
    return 0


def _call(
    environment: Environment, *arguments: str, folder: Path | None = None, more: Mapping[str, str] | None = None
) -> int:
    """Run the environment's Python with this repository's packages in reach; its exit code.

    -P: a folder named backend where the user happens to be is not ours.  Ctrl-C goes to the program as well, which
    may have something to save: we wait for it.
    """
    process = subprocess.Popen([environment.python, "-P", *arguments], cwd=folder, env={**_with_us(), **(more or {})})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _captured(environment: Environment, *arguments: str) -> tuple[int, str]:
    """As `_call` in the repository: the exit code and all that was printed."""
    answer = subprocess.run(
        [environment.python, "-P", *arguments],
        cwd=ROOT,
        env=_with_us(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout


def _with_us() -> dict[str, str]:
    """The environment's variables with this repository's packages in reach."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
