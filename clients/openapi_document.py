"""The OpenAPI document: valid, complete for every door, and the same from the server and from the command line."""

import json
import os
import subprocess

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator


def test_the_served_document_is_valid(server):
    document = server.document()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_the_command_prints_what_the_server_serves(server):
    printed = subprocess.run([os.environ["ROLLCALL_BINARY"], "openapi"], capture_output=True, check=True, timeout=30)
    assert json.loads(printed.stdout) == server.document()


# The original publishes it nowhere else.
NATIVE_ALONE = {
    "delete/proc/template_binding_on_module",
    "findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/set_template_status",
}


def test_every_operation_stands_at_every_door(server):
    paths = server.document()["paths"]
    native = {path for path in paths if path.startswith("/api/v3/")}
    gateway = {path.split("/api/v3/", 1)[1] for path in paths if path.startswith("/api/bk-cmdb/")}
    esb = {path for path in paths if path.startswith("/api/c/compapi/")}
    assert len(esb) >= 20 and len(native) >= len(esb)
    assert {path.removeprefix("/api/v3/") for path in native} == gateway | NATIVE_ALONE


def test_the_page_to_browse_needs_nothing_from_elsewhere(server):
    page = requests.get(server.base + "/api/docs", timeout=10)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    for outside in ('src="http', "src='http", 'href="http://', "@import", "//cdn"):
        assert outside not in page.text
