"""Runs the suites that Flask and Werkzeug have of themselves against apps inside of a sandbox, and counts.

    python3 tests/upstream/run.py path/to/myweb-run [a folder to work in]

The suites come from the sdists at PyPI, as they are. Each test runs here, and what it asks its app goes over HTTP to a
server whose component has the same test (`drive.py`, `inside.py`). What cannot pass is listed in `cannot.txt`, with reasons;
anything else that fails, or passes though it is listed, is an error.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent.resolve()
# Werkzeug's tests of its own server, and of its debugger's page, ask no app.
SUITES = {"flask": ["tests"], "werkzeug": ["tests", "--ignore=tests/test_serving.py", "--ignore=tests/test_debug.py"]}
CONFIG = """
listen = ["127.0.0.1:0"]
trusted-proxies = ["127.0.0.1"]
client-header = "forwarded"
state = {state}

[limits]
cpu = "60s"
wall = "60s"
memory = "512MiB"
tenant-memory = "1GiB"

[[tenant]]
name = "upstream"
hosts = ["*"]

[[tenant.route]]
path = "/*"
app = {app}
"""


def main(binary, work):
    python = environment(work)
    stage(python, work)
    app, state = work / "app.wasm", work.parent
    subprocess.run([binary, "build", "--state", state, "--wsgi", "inside:app", "-o", app], cwd=work / "app", check=True)
    config = work / "myweb.toml"
    config.write_text(CONFIG.format(state=json.dumps(str(state)), app=json.dumps(str(app))))
    server = subprocess.Popen([binary, "--config", config], cwd=work, stderr=subprocess.PIPE, text=True)
    try:
        address = next(line for line in server.stderr if "listening on" in line).split("://")[1].strip()
        # What its guests log is not looked at, but must be taken.
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        outcomes = {}
        for suite, arguments in SUITES.items():
            outcomes |= drive(python, work, suite, arguments, address)
    finally:
        server.terminate()
        server.wait()
    drain.wait()
    return judge(outcomes)


def environment(work):
    """A Python with what the suites need."""
    venv = work / "venv"
    wanted = (HERE / "requirements.txt").read_text()
    if not (venv / "complete").is_file() or (venv / "complete").read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt", "pytest-timeout==2.4.0"], check=True)
        (venv / "complete").write_text(wanted)
    return venv / "bin/python"


def stage(python, work):
    """The app's folder: the suites, and what answers for them."""
    versions = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())
    app = work / "app"
    shutil.rmtree(app, ignore_errors=True)
    for suite in SUITES:
        name = f"{suite}-{versions[suite]}"
        sdist = work / f"{name}.tar.gz"
        if not sdist.is_file():
            download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
            subprocess.run([python, *download, f"{suite}=={versions[suite]}", "-d", work], check=True)
        with tarfile.open(sdist) as archive:
            archive.extractall(work, filter="data")
        shutil.copytree(work / name / "tests", app / suite / "tests")
        shutil.copy(work / name / "pyproject.toml", app / suite)
    for name in ("inside.py", "requirements.txt"):
        shutil.copy(HERE / name, app)


def drive(python, work, suite, arguments, address):
    """The outcome of each test that asked an app something."""
    report = work / f"{suite}.json"
    report.unlink(missing_ok=True)
    environ = os.environ | {
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "UPSTREAM_SUITE": suite,
        "UPSTREAM_SERVER": address,
        "UPSTREAM_REPORT": str(report),
    }
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "drive", "--tb=short", *arguments]
    subprocess.run(command, cwd=work / "app" / suite, env=environ)
    said = json.loads(report.read_text())
    passed = sum(outcome == "passed" for outcome in said["outcomes"].values())
    print(f"{suite}: {passed} of {len(said['outcomes'])} tests that ask an app pass; {said['silent']} ask none")
    return {f"{suite}/{name}": outcome for name, outcome in said["outcomes"].items()}


def judge(outcomes):
    """0 if all is as it is known to be."""
    cannot = {line.partition("  ")[0] for line in (HERE / "cannot.txt").read_text().splitlines() if line}
    failed = {name for name, outcome in outcomes.items() if outcome != "passed"}
    for name in sorted(failed - cannot):
        print(f"fails: {name}\n{outcomes[name]}")
    for name in sorted(cannot - failed):
        print(f"passes, though it is in cannot.txt: {name}")
    return int(failed != cannot)


if __name__ == "__main__":
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "target/scripts/upstream").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sys.exit(main(Path(sys.argv[1]).resolve(), folder))
