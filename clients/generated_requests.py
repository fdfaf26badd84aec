"""Starts a server with something in it and lets schemathesis send it generated requests, as `run-schemathesis` says."""

import json
import pathlib
import secrets
import subprocess
import sys
import tempfile

import requests

from server import Server

SEED = "20261121"
MOST_CASES_PER_WAY = "25"
# The other doors hand the same fields to the same decoder: what is theirs shows in few requests.
MOST_CASES_PER_OTHER_WAY = "6"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def fill(base, headers):
    """A business with a module, a host and an instance, so that small ids mean something."""

    def post(path, body):
        answer = requests.post(f"{base}/api/v3{path}", json=body, headers=headers, timeout=30).json()
        assert answer["result"], answer
        return answer["data"]

    biz = post("/biz/0", {"bk_biz_name": "generated", "bk_biz_maintainer": "admin"})["bk_biz_id"]
    set_id = post(f"/set/{biz}", {"bk_set_name": "s", "bk_parent_id": biz})["bk_set_id"]
    module = post(f"/module/{biz}/{set_id}", {"bk_module_name": "m", "bk_parent_id": set_id})["bk_module_id"]
    host = {"bk_host_innerip": "10.7.0.1", "bk_cloud_id": 0}
    hosts = post("/hosts/add/business_idle", {"bk_biz_id": biz, "bk_host_list": [host]})["bk_host_ids"]
    move = {"bk_biz_id": biz, "bk_host_id": hosts, "bk_module_id": [module], "is_increment": False}
    post("/hosts/modules", move)
    process = {"process_info": {"bk_func_name": "java", "bk_process_name": "java"}}
    instance = {"bk_host_id": hosts[0], "processes": [process]}
    post("/create/proc/service_instance", {"bk_biz_id": biz, "bk_module_id": module, "instances": [instance]})


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = Server(folder, "--dev")
        app_secret = secrets.token_urlsafe(24)
        server.command("init")
        server.command("app", "create", "generated", "--secret-stdin", "--login-free", given=app_secret)
        with server:
            credentials = {"bk_app_code": "generated", "bk_app_secret": app_secret, "bk_username": "admin"}
            as_user = {"BK_User": "admin"}
            as_app = {"X-Bkapi-Authorization": json.dumps(credentials)}
            fill(server.base, as_user)
            # The native door knows callers by another header than the others, and takes a request with both for the gateway's.
            doors = [
                ("^/api/v3/", as_user, "examples,coverage,fuzzing", MOST_CASES_PER_WAY),
                ("^/api/(bk-cmdb|c)/", as_app, "examples,fuzzing", MOST_CASES_PER_OTHER_WAY),
            ]
            codes = [send(server.base, folder, *door) for door in doors]
    sys.exit(max(codes))


def send(base, folder, paths, headers, phases, most_cases):
    """Sends generated requests to these paths and says how that ended."""
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    line = [program, "run", f"{base}/api/openapi.json", "--include-path-regex", paths]
    line += ["--checks", CHECKS, "--phases", phases, "--seed", SEED, "--workers", "1"]
    line += ["--max-examples", most_cases, "--suppress-health-check", "all", "--warnings", "off"]
    line += ["--no-color", "--continue-on-failure"]
    for name, value in headers.items():
        line += ["--header", f"{name}: {value}"]
    # What it leaves behind goes where it runs.
    return subprocess.run(line + sys.argv[1:], cwd=folder).returncode


main()
