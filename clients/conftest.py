"""What the client tests share: a server as an operator would set it up, and who may call it."""

import secrets
import time

import pytest

from server import Server

APP = "client-tests"
USER = "ann"


def eventually(check, within_s=5.0):
    """What a check returns as soon as it no longer fails: the server sees what the other commands change within a second."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def app_secret():
    return secrets.token_urlsafe(24)


@pytest.fixture(scope="session")
def server(tmp_path_factory, app_secret):
    """A store with an administrator, an app that may name its user, and that user with every right; served."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.command("init")
    server.command("app", "create", APP, "--secret-stdin", "--login-free", given=app_secret)
    server.command("grant", "admin", USER)
    with server:
        yield server
    assert app_secret not in server.log(), "the log holds a secret"
