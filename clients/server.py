"""Starts a rollcall server on a free port with a store of its own, and runs the other commands of the binary.

The store is a file in the server's folder, or, where `rollcall-testbed` has set the environment, a database on its PostgreSQL.
"""

import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import threading
import urllib.request

READY_WITHIN_S = 20
STOPPED_WITHIN_S = 20


def _environment():
    """The environment without settings of a rollcall that the user may run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")}


def _new_store(folder: pathlib.Path) -> str:
    if os.environ.get("ROLLCALL_TEST_ENGINE", "sqlite") == "sqlite":
        return f"sqlite:{folder / 'store.sqlite'}"
    cluster = os.environ["ROLLCALL_TEST_POSTGRES"]
    name = f"clients_{secrets.token_hex(8)}"
    subprocess.run(["createdb", f"--maintenance-db={cluster}", name], check=True, timeout=60)
    return cluster.rsplit("/", 1)[0] + "/" + name


class Server:
    """A server; use it as a context. Leaving it stops the server, which must end well and leave a sound store."""

    def __init__(self, folder: pathlib.Path, *flags: str):
        self.binary = os.environ["ROLLCALL_BINARY"]
        self.store = _new_store(folder)
        self.flags = flags
        self.log_lines: list[str] = []
        self.base = ""

    def command(self, *arguments: str, given: str = "") -> str:
        """Runs a command of the binary on the store, beside the server if it runs, and returns what it printed."""
        line = [self.binary, "--store", self.store, *arguments]
        done = subprocess.run(line, input=given, capture_output=True, text=True, timeout=60, env=_environment())
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def command_json(self, *arguments: str, given: str = ""):
        """The same, with what it printed as JSON."""
        return json.loads(self.command("--json", *arguments, given=given))

    def __enter__(self):
        line = [self.binary, "--store", self.store, "serve", "--listen", "127.0.0.1:0", *self.flags]
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=_environment())
        ready = threading.Event()
        self.reader = threading.Thread(target=self._read_log, args=(ready,))
        self.reader.start()
        if not ready.wait(READY_WITHIN_S) or not self.base:
            self.process.kill()
            raise AssertionError(f"the server did not start: {self.log()}")
        return self

    def _read_log(self, ready):
        for line in self.process.stderr:
            self.log_lines.append(line)
            listening = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
            if listening:
                self.base = listening.group(1)
                ready.set()
        ready.set()

    def document(self):
        """The OpenAPI document it serves."""
        with urllib.request.urlopen(self.base + "/api/openapi.json", timeout=10) as answer:
            return json.load(answer)

    def log(self) -> str:
        return "".join(self.log_lines)

    def __exit__(self, kind, error, trace):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not stop") from error
        self.reader.join()
        self.process.stderr.close()
        if error is None:
            assert code == 0, f"the server ended with {code}: {self.log()}"
            broken = [line for line in self.log_lines if " ERROR " in line]
            assert not broken, f"the server reported defects: {broken}"
            self.command("check")
