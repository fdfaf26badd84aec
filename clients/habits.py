"""What clients in the field do to a URL, a header, a body or a page, and rely on: one test a habit."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from conftest import APP, USER

ENVELOPE = ["result", "code", "message", "permission", "request_id", "data"]
ESB = "/api/c/compapi/v2/cc"


@pytest.fixture(scope="module")
def credentials(app_secret):
    return {"bk_app_code": APP, "bk_app_secret": app_secret, "bk_username": USER}


@pytest.fixture(scope="module")
def call(server, credentials):
    """Calls an operation at the ESB door as a script does: credentials in the body, no Content-Type, no redirects followed."""

    def call(operation, body=None, path=ESB, **how):
        url = f"{server.base}{path}/{operation}/"
        text = json.dumps({**credentials, **(body or {})})
        return checked(requests.post(url, data=text, timeout=30, allow_redirects=False, **how))

    return call


def checked(response):
    """The data of a success."""
    assert response.status_code == 200, response.text
    answer = response.json()
    assert list(answer) == ENVELOPE and answer["message"] == "success", answer
    assert "X-Bkapi-Error-Code" not in response.headers
    return answer["data"]


@pytest.fixture(scope="module")
def estate(call):
    """A module with one host and 7 service instances on it."""
    data = {"bk_biz_name": "habits", "bk_biz_maintainer": USER, "time_zone": "Asia/Shanghai", "language": "1"}
    biz = call("create_business", {"data": data})["bk_biz_id"]
    set_id = call("create_set", {"bk_biz_id": biz, "data": {"bk_set_name": "s", "bk_parent_id": biz}})["bk_set_id"]
    record = {"bk_module_name": "m", "bk_parent_id": set_id}
    module = call("create_module", {"bk_biz_id": biz, "bk_set_id": set_id, "data": record})["bk_module_id"]
    host_list = [{"bk_host_innerip": "10.8.0.1", "bk_cloud_id": 0}]
    hosts = call("add_host_to_business_idle", {"bk_biz_id": biz, "bk_host_list": host_list})["bk_host_ids"]
    move = {"bk_biz_id": biz, "bk_host_id": hosts, "bk_module_id": [module], "is_increment": False}
    assert call("transfer_host_module", move) is None
    process = {"process_info": {"bk_func_name": "java", "bk_process_name": "java"}}
    wanted = [{"bk_host_id": hosts[0], "service_instance_name": f"i{n}", "processes": [process]} for n in range(7)]
    ids = call("create_service_instance", {"bk_biz_id": biz, "bk_module_id": module, "instances": wanted})
    return {"biz": biz, "set": set_id, "module": module, "host": hosts[0], "instances": ids}


@pytest.mark.parametrize(
    "path",
    [
        "//api/c/compapi/v2/cc/search_business/",
        "/api/c/compapi/v2/cc/search_business",
        "/api/c/compapi//v2/cc//search_business/",
        "/api/c/compapi/cc/search_business/",
    ],
)
def test_spellings_of_a_path(server, credentials, path):
    found = checked(requests.post(server.base + path, data=json.dumps(credentials), timeout=30, allow_redirects=False))
    assert found["count"] >= 1


def test_a_body_without_content_type(server, credentials):
    # Below every library, which might add one.
    address = urlsplit(server.base)
    body = json.dumps(credentials)
    head = f"POST {ESB}/search_business/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall((head + body).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"message":"success"' in answer


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/json"])
def test_any_content_type_for_json(call, kind):
    assert call("search_business", headers={"Content-Type": kind})["count"] >= 1


def test_app_in_the_header_and_user_in_the_body(server, app_secret):
    header = {"X-Bkapi-Authorization": json.dumps({"bk_app_code": APP, "bk_app_secret": app_secret})}
    url = f"{server.base}{ESB}/search_business/"
    checked(requests.post(url, json={"bk_username": USER, "bk_app_code": "other"}, headers=header, timeout=30))
    named = {**header, "X-Bkapi-User-Name": USER, "X-Bkapi-App-Code": APP, "X-Bkapi-Request-Id": "r1"}
    checked(requests.post(url, json={"bk_username": ""}, headers=named, timeout=30))


def test_keys_that_mean_nothing_are_no_error(call, estate):
    page = {"start": 0, "limit": 500, "return_total": True}
    body = {"bk_biz_id": estate["biz"], "bk_supplier_account": "0", "no_request": True, "with_name": True, "page": page}
    extra = {"bk_ticket": "", "access_token": "", "operator": "x", "bk_nonce": 1, "bk_timestamp": 2}
    assert call("list_service_instance", {**body, **extra})["count"] == 7
    assert call("search_business", {"bk_supplier_account": "tencent"})["count"] >= 1


def test_a_filter_that_is_the_whole_body(call):
    attributes = call("search_object_attribute", {"bk_obj_id": "host"})
    assert attributes and {row["bk_obj_id"] for row in attributes} == {"host"}


def test_reading_by_get_with_numbers_as_text(server, credentials, estate):
    for operation in ("search_biz_inst_topo", "get_biz_internal_module"):
        url = f"{server.base}{ESB}/{operation}/"
        query = {**credentials, "bk_biz_id": str(estate["biz"])}
        by_get = checked(requests.get(url, params=query, timeout=30))
        by_post = checked(requests.post(url, json={**credentials, "bk_biz_id": estate["biz"]}, timeout=30))
        assert by_get == by_post


def test_pages_asked_in_parallel(call, estate):
    def page(start):
        wanted = {"start": start, "limit": 2, "sort": "id", "return_total": True}
        return call("list_service_instance", {"bk_biz_id": estate["biz"], "page": wanted})

    first = page(0)
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(page, range(0, first["count"], 2)))
    assert [answer["count"] for answer in pages] == [7] * 4
    assert [row["id"] for answer in pages for row in answer["info"]] == estate["instances"]


def test_details_in_pages_of_a_thousand(call, estate):
    page = {"start": 0, "limit": 1000, "sort": "id"}
    body = {"bk_biz_id": estate["biz"], "bk_module_id": estate["module"], "bk_host_list": [estate["host"]], "page": page}
    detail = call("list_service_instance_detail", body)
    assert [row["id"] for row in detail["info"]] == estate["instances"]
    for row in detail["info"]:
        for key in ("id", "bk_biz_id", "bk_host_id", "bk_module_id", "service_template_id"):
            assert type(row[key]) is int
        [process] = row["process_instances"]
        assert process["process"]["bk_process_id"] == process["relation"]["bk_process_id"]


def test_a_configuration_tool_collects_the_processes_of_a_business(call, estate):
    # Empty lists are no conditions; a filter comes as a group, by ids or by names.
    no_conditions = {"set": {"bk_set_ids": []}, "module": {"bk_module_ids": []}, "service_instance": {"ids": []}}
    body = {"bk_biz_id": estate["biz"], **no_conditions, "page": {"start": 0, "limit": 5, "sort": "bk_process_id"}}
    first = call("list_process_related_info", body)
    second = call("list_process_related_info", {**body, "page": {"start": 5, "limit": 5, "sort": "bk_process_id"}})
    rows = first["info"] + second["info"]
    assert first["count"] == second["count"] == len(rows) == len(estate["instances"])
    assert [row["service_instance"]["id"] for row in rows] == estate["instances"]
    for row in rows:
        assert (row["set"]["bk_set_id"], row["module"]["bk_module_id"]) == (estate["set"], estate["module"])
        assert (row["host"]["bk_host_innerip"], row["process_template"]["id"]) == ("10.8.0.1", 0)
        assert row["process"]["bk_process_name"] == "java"
    wanted = [row["process"]["bk_process_id"] for row in rows[2:4]]
    rules = [
        {"field": "bk_process_id", "operator": "in", "value": wanted},
        {"field": "bk_process_name", "operator": "in", "value": ["java"]},
    ]
    filtered = {**body, "process_property_filter": {"condition": "AND", "rules": rules}, "page": {"start": 0, "limit": 500}}
    assert [row["process"]["bk_process_id"] for row in call("list_process_related_info", filtered)["info"]] == wanted


def test_an_installer_repeats_a_host(call):
    row = {"bk_host_innerip": "10.8.0.9", "bk_cloud_id": 0, "import_from": "3"}
    for _ in range(2):
        assert call("add_host_to_resource", {"host_info": {"0": row}})["success"] == ["0"]


def test_twenty_clients_make_the_same_process(server, credentials, estate):
    process = {"process_info": {"bk_func_name": "once", "bk_process_name": "once"}}
    body = {"bk_biz_id": estate["biz"], "service_instance_id": estate["instances"][0], "processes": [process]}
    url = f"{server.base}{ESB}/create_process_instance/"

    def make(_):
        return requests.post(url, json={**credentials, **body}, timeout=30).json()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(make, range(20)))
    codes = sorted(answer["code"] for answer in answers)
    assert codes == [0] + [1199014] * 19
    assert all("duplicated instances exist" in answer["message"] for answer in answers if answer["code"])


def test_the_gateway_by_prefix_and_at_the_root(server, credentials, estate):
    header = {"X-Bkapi-Authorization": json.dumps(credentials)}
    body = {"bk_biz_id": estate["biz"], "service_instance_id": estate["instances"][1]}
    answers = []
    for prefix in ("/api/bk-cmdb/prod", ""):
        url = f"{server.base}{prefix}/api/v3/findmany/proc/process_instance"
        response = requests.post(url, data=json.dumps(body), headers=header, timeout=30)
        assert list(response.json()) == ["result", "code", "message", "permission", "data"]
        assert response.headers["X-Bkapi-Request-ID"]
        answers.append(response.json())
    assert answers[0] == answers[1] and answers[0]["data"]
    # A placeholder as account, as one client sends it.
    url = f"{server.base}/api/bk-cmdb/prod/api/v3/biz/search/bk_supplier_account"
    assert requests.post(url, data="{}", headers=header, timeout=30).json()["message"] == "success"


def test_identity_headers_from_a_stranger(server):
    # Not in development mode: no peer is trusted.
    headers = {"BK_User": "admin", "HTTP_BLUEKING_SUPPLIER_ID": "0"}
    response = requests.post(f"{server.base}/api/v3/biz/search/0", data="{}", headers=headers, timeout=30)
    assert (response.status_code, response.json()["bk_error_code"]) == (401, 1199027)
