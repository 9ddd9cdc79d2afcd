"""Tries Microsoft's azure-containerregistry against a running acr-mock.

    interop.py --endpoint https://127.0.0.1:PORT --ca FILE [--server TEXT]

Each way to hand the clients a CA is a process of its own, because two of them are environment variables that are read
when Python starts. A line is printed per check, and a table of all of them at the end. Exit code 0: all passed; 1: some
failed. The mock must allow anonymous pull.
"""

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
import traceback

# How the clients learn of the CA: (column of the table, sync or async, the environment variable or None for the
# keyword connection_verify).
RUNS = [
    ("sync, connection_verify", "sync", None),
    ("sync, REQUESTS_CA_BUNDLE", "sync", "REQUESTS_CA_BUNDLE"),
    ("async, connection_verify", "async", None),
    ("async, SSL_CERT_FILE", "async", "SSL_CERT_FILE"),
]

# Set by users and CI systems for their own servers; they would decide for the clients.
FOREIGN = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]

PACKAGES = ["azure-containerregistry", "azure-core", "requests", "aiohttp"]

# One process may take so long; a hanging client must not hang whoever waits for the table.
SECONDS_PER_RUN = 300


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--server", default="acr-mock", help="what the table calls the server")
    parser.add_argument("--run", type=int, help="one row of RUNS; used by the program itself")
    options = parser.parse_args()
    if options.run is not None:
        return asyncio.run(run_checks(options))

    columns = [run_in_process(index, options) for index in range(len(RUNS))]
    print_table(columns, options.server)
    return 0 if all(passed(column) for column in columns) else 1


def run_in_process(index, options):
    """Runs the checks once, in a process of its own; returns {check: outcome} in the order of the checks."""
    title, _, variable = RUNS[index]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN and not name.lower().endswith("_proxy")
    }
    if variable:
        environment[variable] = options.ca
    # -B: no cache of bytecode beside the sources.
    command = [sys.executable, "-B", __file__, "--endpoint", options.endpoint, "--ca", options.ca, "--run", str(index)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(SECONDS_PER_RUN, process.kill)
    watchdog.start()
    outcomes = {}
    for line in process.stdout:
        result = json.loads(line)
        outcomes[result["check"]] = result["outcome"]
        print(f"[{title}] {result['check']}: {result['outcome']}{result['detail']}", flush=True)
    code = process.wait()
    watchdog.cancel()
    if code != 0 and "FAILED" not in outcomes.values():
        outcomes["(the run itself)"] = "FAILED"
        print(f"[{title}] the run itself: FAILED: exit code {code} (negative: killed, perhaps for its time)", flush=True)
    return outcomes


def passed(outcomes):
    return bool(outcomes) and "FAILED" not in outcomes.values()


async def run_checks(options):
    """The process of one run: a line of JSON on stdout per check."""
    # Imported here, because the first process runs the table even where the SDK is broken.
    import checks
    import sdk

    title, kind, variable = RUNS[options.run]
    run = sdk.Run(
        kind=kind,
        endpoint=options.endpoint,
        ca=options.ca if variable is None else None,
        prefix=f"interop/python{options.run}",
    )
    failed = False
    async with run:
        for name, check in checks.CHECKS:
            detail = ""
            if check in checks.ANONYMOUS and kind == "async" and variable is None:
                outcome = "n/a"
                detail = ": the SDK's async anonymous client ignores connection_verify for its token calls"
            else:
                outcome, detail = await run_check(check, run)
            failed |= outcome == "FAILED"
            print(json.dumps({"check": name, "outcome": outcome, "detail": detail}), flush=True)
    return 1 if failed else 0


async def run_check(check, run):
    try:
        await check(run)
        return "ok", ""
    except Exception as error:  # Whatever a client raises is a failed check, and the next one still runs.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("checks.py")]
        # The outermost is the line of the check itself; those within are helpers.
        where = f"checks.py:{frames[0].lineno}: {frames[0].line}" if frames else "?"
        return "FAILED", f": {type(error).__name__}: {error} (at {where})"


def print_table(columns, server):
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} is missing")
    names = list(dict.fromkeys(name for column in columns for name in column))
    titles = [title for title, _, _ in RUNS]
    first = max(len(name) for name in [*names, "check"])
    widths = [max(len(title), 6) for title in titles]

    def row(name, cells):
        return "| ".join([name.ljust(first + 1), *(cell.ljust(width + 1) for cell, width in zip(cells, widths))]).rstrip()

    print()
    print(", ".join([*versions, f"Python {platform.python_version()}"]), "on", server)
    print()
    print(row("check", titles))
    print("|-".join("-" * (width + 1) for width in [first, *widths]))
    for name in names:
        print(row(name, [column.get(name, "not run") for column in columns]))
    print()
    outcomes = [column.get(name, "not run") for column in columns for name in names]
    tried = len(outcomes) - outcomes.count("n/a")
    print(f"{outcomes.count('ok')} of {tried} passed", end="")
    print(f"; {outcomes.count('n/a')} not applicable (see above)" if "n/a" in outcomes else "")


if __name__ == "__main__":
    sys.exit(main())
