"""BlueKing's published Python SDK, unmodified, does the main job: a business with sets, modules and hosts, service instances on
them, processes of those, and everything read back. Credentials travel in X-Bkapi-Authorization, as the SDK sends them."""

import pytest
from bkapi_client_core.config import HookEvent
from bkapi_client_core.exceptions import HTTPResponseError
from bkapi_client_core.session import register_global_hook
from bkapi_component.open.client import Client
from bkapi_component.open.shortcuts import get_client_by_user, get_client_by_username

from conftest import APP, USER, eventually

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Every operation that was called, in whatever test.
called = set()


def _remember(context, operation=None, **_):
    called.add(operation.name)
    return context


register_global_hook(HookEvent.OPERATION_PREPARED, _remember)


def data_of(answer):
    """The data of a success. The SDK hands over the whole envelope."""
    assert list(answer) == ["result", "code", "message", "permission", "request_id", "data"]
    assert (answer["result"], answer["code"], answer["message"]) == (True, 0, "success"), answer
    assert answer["permission"] is None
    assert len(answer["request_id"]) == 32
    return answer["data"]


def refusal_of(answer, code):
    """The message of a refusal with this code."""
    assert (answer["result"], answer["code"], answer["data"]) == (False, code, None), answer
    return answer["message"]


@pytest.fixture(scope="module")
def make_client(server, app_secret):
    def make(**how):
        how = {"endpoint": server.base, "bk_app_code": APP, "bk_app_secret": app_secret, **how}
        return get_client_by_username(USER, **how)

    return make


@pytest.fixture(scope="module")
def cc(make_client):
    """The operations of the CMDB."""
    return make_client().cc


@pytest.fixture(scope="module")
def estate(cc):
    """A business with a set, two modules, two hosts in the first module and one in the pool."""
    biz_id = data_of(cc.create_business({"data": {"bk_biz_name": "shop", "bk_biz_maintainer": USER}}))["bk_biz_id"]
    set_id = data_of(cc.create_set({"bk_biz_id": biz_id, "data": {"bk_set_name": "north", "bk_parent_id": biz_id}}))[
        "bk_set_id"
    ]

    def module(name):
        record = {"bk_module_name": name, "bk_parent_id": set_id}
        return data_of(cc.create_module({"bk_biz_id": biz_id, "bk_set_id": set_id, "data": record}))["bk_module_id"]

    web_id, job_id = module("web"), module("job")
    hosts = [{"bk_host_innerip": f"10.9.0.{i}", "bk_cloud_id": 0} for i in (1, 2)]
    host_ids = data_of(cc.add_host_to_business_idle({"bk_biz_id": biz_id, "bk_host_list": hosts}))["bk_host_ids"]
    assert len(host_ids) == 2
    moved = cc.transfer_host_module(
        {"bk_biz_id": biz_id, "bk_host_id": host_ids, "bk_module_id": [web_id, job_id], "is_increment": False}
    )
    assert data_of(moved) is None
    added = cc.add_host_to_resource({"host_info": {"0": {"bk_host_innerip": "10.9.0.3", "import_from": "3"}}})
    assert data_of(added)["success"] == ["0"]
    return {"biz": biz_id, "set": set_id, "web": web_id, "job": job_id, "hosts": host_ids}


def process(name, port, **more):
    """A process of the user's documents."""
    rows = [{"enable": True, "ip": "127.0.0.1", "port": port, "protocol": "1"}]
    info = {"bk_func_name": "java", "bk_process_name": name, "bk_start_param_regex": name, "bind_info": rows, **more}
    return {"process_template_id": 0, "process_info": info}


@pytest.fixture(scope="module")
def instances(cc, estate):
    """A service instance on each of the two hosts; the first has a process."""
    wanted = [
        {"bk_host_id": estate["hosts"][0], "service_instance_name": "web-a", "processes": [process("nginx", "80")]},
        {"bk_host_id": estate["hosts"][1], "processes": [process("nginx", "8080-8090")]},
    ]
    body = {"bk_biz_id": estate["biz"], "bk_module_id": estate["web"], "instances": wanted}
    ids = data_of(cc.create_service_instance(body))
    assert len(ids) == 2 and all(type(i) is int for i in ids)
    return ids


def test_businesses(cc, estate):
    found = data_of(cc.search_business({"fields": ["bk_biz_id", "bk_biz_name"]}))
    assert (estate["biz"], "shop") in [(row["bk_biz_id"], row["bk_biz_name"]) for row in found["info"]]
    assert found["count"] == len(found["info"])
    one = data_of(cc.search_business({"condition": {"bk_biz_name": "shop"}, "page": {"start": 0, "limit": 1}}))
    assert one["count"] == 1 and one["info"][0]["bk_biz_maintainer"] == USER


def test_sets_and_modules(cc, estate):
    sets = data_of(cc.search_set({"bk_biz_id": estate["biz"], "condition": {"bk_set_name": "north"}, "fields": []}))
    assert [row["bk_set_id"] for row in sets["info"]] == [estate["set"]]
    for set_id in (estate["set"], 0):
        body = {"bk_biz_id": estate["biz"], "bk_set_id": set_id, "condition": {}, "fields": [], "page": {"limit": 50}}
        modules = data_of(cc.search_module(body))["info"]
        assert {estate["web"], estate["job"]} <= {row["bk_module_id"] for row in modules}


def test_the_tree_by_get(cc, estate):
    [root] = data_of(cc.search_biz_inst_topo({"bk_biz_id": estate["biz"]}))
    assert (root["bk_obj_id"], root["bk_inst_name"]) == ("biz", "shop")
    [north] = root["child"]
    assert [(leaf["bk_inst_name"], leaf["child"]) for leaf in north["child"]] == [("web", []), ("job", [])]
    idle = data_of(cc.get_biz_internal_module({"bk_biz_id": estate["biz"]}))
    assert [row["default"] for row in idle["module"]] == [1, 2, 3]


def test_categories_and_attributes(cc, estate):
    categories = data_of(cc.list_service_category({"bk_biz_id": estate["biz"]}))
    plain = [row for row in categories["info"] if row["name"] == "Default" and row["bk_parent_id"] != 0]
    assert len(plain) == 1, "installers count on exactly one"
    attributes = data_of(cc.search_object_attribute({"bk_obj_id": "process"}))
    assert "bind_info" in {row["bk_property_id"] for row in attributes}


def test_categories_of_our_own(cc, estate):
    biz = {"bk_biz_id": estate["biz"]}
    root = data_of(cc.create_service_category({**biz, "name": "games", "bk_parent_id": 0}))
    assert root["bk_root_id"] == root["id"] and root["is_built_in"] is False
    child = data_of(cc.create_service_category({**biz, "name": "lobby", "bk_parent_id": root["id"]}))
    assert (child["bk_root_id"], child["bk_parent_id"]) == (root["id"], root["id"])
    refusal_of(cc.create_service_category({**biz, "name": "games", "bk_parent_id": 0}), 1113017)
    assert data_of(cc.update_service_category({**biz, "id": child["id"], "name": "arena"}))["name"] == "arena"
    refusal_of(cc.delete_service_category({**biz, "id": root["id"]}), 1199055)
    for row in (child, root):
        assert data_of(cc.delete_service_category({**biz, "id": row["id"]})) is None


def test_service_templates(cc, estate):
    biz = {"bk_biz_id": estate["biz"]}
    made = data_of(cc.create_service_template({**biz, "name": "gateway", "service_category_id": 15}))
    assert (made["name"], made["creator"], made["host_apply_enabled"]) == ("gateway", USER, False)
    # The SDK asks for this one by GET, with a query.
    assert data_of(cc.get_service_template({**biz, "service_template_id": made["id"]})) == made
    listed = data_of(cc.list_service_template({**biz, "page": {"start": 0, "limit": 500}}))
    assert listed == {"count": 1, "info": [made]}
    assert data_of(cc.list_service_template(biz)) == listed, "installers send no page"
    changed = data_of(cc.update_service_template({**biz, "id": made["id"], "name": "proxy"}))
    assert (changed["name"], changed["service_category_id"]) == ("proxy", 15)
    gone = {**biz, "service_template_id": made["id"]}
    assert data_of(cc.delete_service_template(gone)) is None
    refusal_of(cc.delete_service_template(gone), 1108030)
    refusal_of(cc.get_service_template(gone), 1199019)


def test_process_templates(cc, estate):
    biz = {"bk_biz_id": estate["biz"]}
    service = data_of(cc.create_service_template({**biz, "name": "batch", "service_category_id": 15}))["id"]
    spec = {"bk_process_name": {"value": "worker"}, "bk_func_name": {"value": "worker"},
            "user": {"value": "batch", "as_default_value": True}}
    [made] = data_of(cc.batch_create_proc_template({**biz, "service_template_id": service, "processes": [{"spec": spec}]}))
    told = data_of(cc.get_proc_template({**biz, "process_template_id": made}))
    assert (told["bk_process_name"], told["property"]["user"]) == ("worker", spec["user"])
    assert data_of(cc.list_proc_template({**biz, "service_template_id": service})) == {"count": 1, "info": [told]}
    user = {"value": "nobody", "as_default_value": False}
    changed = {**biz, "process_template_id": made, "process_property": {"user": user}}
    assert data_of(cc.update_proc_template(changed))["property"]["user"] == user
    assert data_of(cc.delete_proc_template({**biz, "process_templates": [made]})) is None
    refusal_of(cc.get_proc_template({**biz, "process_template_id": made}), 1199019)
    assert data_of(cc.delete_service_template({**biz, "service_template_id": service})) is None


def test_set_templates(cc, estate):
    # A business of its own: a set that follows a template stays.
    biz = {"bk_biz_id": data_of(cc.create_business({"data": {"bk_biz_name": "kits", "bk_biz_maintainer": USER}}))["bk_biz_id"]}

    def service(name):
        return data_of(cc.create_service_template({**biz, "name": name, "service_category_id": 15}))["id"]

    web, cache, queue = service("web"), service("cache"), service("queue")
    made = data_of(cc.create_set_template({**biz, "name": "kit", "service_template_ids": [web, cache]}))
    assert (made["name"], made["bk_biz_id"], made["creator"]) == ("kit", biz["bk_biz_id"], USER)
    named = {**biz, "set_template_id": made["id"]}
    assert data_of(cc.list_set_template({**biz, "page": {"limit": 10}})) == {"count": 1, "info": [made]}
    # The SDK asks for this one by GET, with a query.
    related = data_of(cc.list_set_template_related_service_template(named))
    assert [row["name"] for row in related] == ["web", "cache"]
    record = {"bk_set_name": "south", "bk_parent_id": biz["bk_biz_id"], "set_template_id": made["id"]}
    south = data_of(cc.create_set({**biz, "data": record}))["bk_set_id"]

    def modules():
        body = {**biz, "bk_set_id": south, "condition": {}, "fields": [], "page": {"limit": 50}}
        return {row["bk_module_name"] for row in data_of(cc.search_module(body))["info"]}

    assert modules() == {"web", "cache"}
    record = {"bk_module_name": "more", "bk_parent_id": south}
    refusal_of(cc.create_module({**biz, "bk_set_id": south, "data": record}), 1101097)
    changed = data_of(cc.update_set_template({**named, "name": "bundle", "service_template_ids": [cache, queue]}))
    assert changed["name"] == "bundle" and modules() == {"web", "cache"}
    assert data_of(cc.sync_set_template_to_set({**named, "bk_set_ids": [south]})) is None

    def followed():
        assert modules() == {"cache", "queue"}

    eventually(followed)
    refusal_of(cc.delete_set_template({**biz, "set_template_ids": [made["id"]]}), 1199056)
    spare = data_of(cc.create_set_template({**biz, "name": "spare", "service_template_ids": [web]}))["id"]
    assert data_of(cc.delete_set_template({**biz, "set_template_ids": [spare]})) is None
    found = data_of(cc.list_service_instance_by_set_template({**named, "page": {"start": 0, "limit": 10}}))
    assert found == {"count": 0, "info": []}


def test_hosts(cc, estate):
    body = {"bk_biz_id": estate["biz"], "page": {"start": 0, "limit": 500}}
    everyone = data_of(cc.list_biz_hosts(body))
    assert (everyone["count"], [row["bk_host_id"] for row in everyone["info"]]) == (2, estate["hosts"])
    page = {"start": 1, "limit": 1, "return_total": True}
    one = data_of(cc.list_biz_hosts({**body, "page": page, "fields": ["bk_host_innerip"]}))
    assert (one["count"], [row["bk_host_innerip"] for row in one["info"]]) == (2, ["10.9.0.2"])


def test_modules_change_and_go(cc, estate):
    place = {"bk_biz_id": estate["biz"], "bk_set_id": estate["set"]}
    record = {"bk_module_name": "cache", "bk_parent_id": estate["set"]}
    module = data_of(cc.create_module({**place, "data": record}))["bk_module_id"]
    ids = {**place, "bk_module_id": module}
    assert data_of(cc.update_module({**ids, "data": {"bk_module_name": "redis", "operator": USER}})) is None
    found = data_of(cc.search_module({**place, "condition": {"bk_module_id": module}}))["info"]
    assert [(row["bk_module_name"], row["operator"]) for row in found] == [("redis", USER)]
    refusal_of(cc.update_module({**ids, "data": {"bk_module_name": "web"}}), 1199014)
    refusal_of(cc.delete_module({**place, "bk_module_id": estate["web"]}), 1101030)
    assert data_of(cc.delete_module(ids)) is None
    refusal_of(cc.delete_module(ids), 1199019)


def test_hosts_change(cc, estate):
    hosts = estate["hosts"]
    assert data_of(cc.update_host({"bk_host_id": hosts, "data": {"bk_comment": "rack 7"}})) is None
    assert data_of(cc.update_host({"bk_host_id": ",".join(map(str, hosts)), "data": {"operator": USER}})) is None
    changes = [{"bk_host_id": hosts[1], "properties": {"bk_comment": "rack 8", "bk_host_innerip": "10.9.9.9"}}]
    assert data_of(cc.batch_update_host({"update": changes})) is None
    fields = ["bk_comment", "operator", "bk_host_innerip"]
    listed = data_of(cc.list_biz_hosts({"bk_biz_id": estate["biz"], "fields": fields, "page": {"limit": 2}}))["info"]
    assert [tuple(row[field] for field in fields) for row in listed] == [
        ("rack 7", USER, "10.9.0.1"),
        ("rack 8", USER, "10.9.0.2"),
    ]
    assert "99999" in refusal_of(cc.update_host({"bk_host_id": [99999], "data": {"bk_comment": "x"}}), 1199011)


def test_hosts_come_from_the_pool_and_go_to_idle(cc, estate):
    hosts = {"bk_host_innerip": "10.9.0.3", "bk_cloud_id": 0}
    again = data_of(cc.add_host_to_resource({"host_info": {"0": hosts}}))
    assert again["success"] == ["0"], "a host that exists already is a success"
    pool = data_of(cc.list_biz_hosts({"bk_biz_id": 1, "page": {"limit": 10}}))["info"]
    [host_id] = [row["bk_host_id"] for row in pool if row["bk_host_innerip"] == "10.9.0.3"]
    ids = {"bk_biz_id": estate["biz"], "bk_host_id": [host_id]}
    assert data_of(cc.transfer_resourcehost_to_idlemodule(ids)) is None
    assert data_of(cc.transfer_host_to_idlemodule(ids)) is None, "from idle to idle changes nothing"
    [idle] = [
        row["bk_module_id"]
        for row in data_of(cc.get_biz_internal_module({"bk_biz_id": estate["biz"]}))["module"]
        if row["default"] == 1
    ]
    body = {"bk_biz_id": estate["biz"], "bk_module_ids": [idle], "page": {"limit": 10}}
    assert [row["bk_host_id"] for row in data_of(cc.list_biz_hosts(body))["info"]] == [host_id]
    data_of(cc.transfer_host_module({**ids, "bk_module_id": [estate["job"]], "is_increment": False}))
    assert data_of(cc.list_biz_hosts(body)) == {"count": 0, "info": []}


def test_service_instances(cc, estate, instances):
    body = {"bk_biz_id": estate["biz"], "bk_module_id": estate["web"], "page": {"start": 0, "limit": 500}}
    listed = data_of(cc.list_service_instance({**body, "with_name": True}))
    assert listed["count"] == 2
    assert [(row["id"], row["name"], row["bk_host_id"]) for row in listed["info"]] == [
        (instances[0], "web-a", estate["hosts"][0]),
        (instances[1], "10.9.0.2_nginx_8080-8090", estate["hosts"][1]),
    ]


def test_processes(cc, estate, instances):
    body = {"bk_biz_id": estate["biz"], "service_instance_id": instances[0]}
    made = data_of(cc.create_process_instance({**body, "processes": [process("job_java", "8008", user="www", timeout=30)]}))
    assert len(made) == 1
    rows = data_of(cc.list_process_instance(body))
    assert [row["property"]["bk_process_name"] for row in rows] == ["nginx", "job_java"]
    java = rows[1]
    assert java["property"]["bk_process_id"] == made[0] == java["relation"]["bk_process_id"]
    assert (java["property"]["user"], java["property"]["timeout"], java["property"]["stop_cmd"]) == ("www", 30, "")
    row = java["property"]["bind_info"][0]
    assert (row["port"], row["protocol"], row["enable"], row["ip"]) == ("8008", "1", True, "127.0.0.1")
    assert java["relation"]["service_instance_id"] == instances[0]


def test_service_instances_with_their_processes(cc, estate, instances):
    body = {"bk_biz_id": estate["biz"], "service_instance_ids": instances, "page": {"start": 0, "limit": 1000}}
    detail = data_of(cc.list_service_instance_detail(body))
    assert detail["count"] == 2
    for row in detail["info"]:
        assert row["process_instances"][0]["process"]["bk_process_name"] == "nginx"
        assert row["process_instances"][0]["relation"]["bk_host_id"] == row["bk_host_id"]


def test_labels_and_what_they_select(cc, estate, instances):
    biz = {"bk_biz_id": estate["biz"]}
    assert data_of(cc.add_label_for_service_instance({**biz, "instance_ids": instances, "labels": {"env": "prod"}})) is None
    assert data_of(cc.add_label_for_service_instance({**biz, "instance_ids": instances[:1], "labels": {"tier": "web"}})) is None
    selectors = [{"key": "env", "operator": "=", "values": ["prod"]}, {"key": "tier", "operator": "exists", "values": []}]
    listed = data_of(cc.list_service_instance({**biz, "selectors": selectors, "page": {"start": 0, "limit": 10}}))
    assert [(row["id"], row["labels"]) for row in listed["info"]] == [(instances[0], {"env": "prod", "tier": "web"})]
    assert data_of(cc.remove_label_from_service_instance({**biz, "instance_ids": instances, "keys": ["env", "tier"]})) is None
    of_host = data_of(cc.list_service_instance_by_host({**biz, "bk_host_id": estate["hosts"][0], "page": {"limit": 10}}))
    assert [(row["id"], row["labels"]) for row in of_host["info"]] == [(instances[0], {})]
    of_template = {**biz, "set_template_id": 1, "page": {"start": 0, "limit": 10}}
    assert data_of(cc.list_service_instance_by_set_template(of_template)) == {"count": 0, "info": []}


def test_processes_change_and_go(cc, estate):
    biz = {"bk_biz_id": estate["biz"]}
    wanted = {"bk_host_id": estate["hosts"][1], "processes": [process("a", "90"), process("b", "90")]}
    [instance] = data_of(cc.create_service_instance({**biz, "bk_module_id": estate["web"], "instances": [wanted]}))
    one = {**biz, "service_instance_id": instance}
    first, second = [row["property"] for row in data_of(cc.list_process_instance(one))]
    ids = [first["bk_process_id"], second["bk_process_id"]]

    # What is read back, changed and sent again; two names swapped at once.
    first["bk_process_name"], second["bk_process_name"] = "b", "a"
    first["bk_start_param_regex"], second["bk_start_param_regex"] = "b", "a"
    assert data_of(cc.update_process_instance({**biz, "processes": [first, second]})) == ids
    fields = ["bk_process_id", "bk_process_name"]
    detail = data_of(cc.list_process_detail_by_ids({**biz, "bk_process_ids": ids, "fields": fields}))
    assert [(row["bk_process_id"], row["bk_process_name"]) for row in detail] == [(ids[0], "b"), (ids[1], "a")]

    # The last process takes its service instance with it.
    assert data_of(cc.delete_process_instance({**biz, "process_instance_ids": ids[:1]})) is None
    assert [row["property"]["bk_process_id"] for row in data_of(cc.list_process_instance(one))] == ids[1:]
    assert data_of(cc.delete_process_instance({**biz, "process_instance_ids": ids[1:]})) is None
    refusal_of(cc.delete_service_instance({**biz, "service_instance_ids": [instance]}), 1199006)


def test_service_instances_go(cc, estate):
    biz = {"bk_biz_id": estate["biz"]}
    wanted = {"bk_host_id": estate["hosts"][0], "processes": [process("gone", "91")]}
    made = data_of(cc.create_service_instance({**biz, "bk_module_id": estate["web"], "instances": [wanted, wanted]}))
    assert data_of(cc.delete_service_instance({**biz, "service_instance_ids": made})) is None
    left = data_of(cc.list_service_instance({**biz, "bk_host_ids": estate["hosts"][:1], "page": {"start": 0, "limit": 10}}))
    assert not set(made) & {row["id"] for row in left["info"]}


def test_a_taken_name_is_refused_in_the_words_clients_look_for(cc, make_client, estate, instances):
    body = {"bk_biz_id": estate["biz"], "service_instance_id": instances[0], "processes": [process("nginx", "81")]}
    english = refusal_of(cc.create_process_instance(body), 1199014)
    assert "duplicated instances exist" in english and "unique" in english
    assert "processes[0].process_info.bk_process_name" in english
    for language in ("zh-cn", "zh-hans"):
        chinese = refusal_of(make_client(accept_language=language).cc.create_process_instance(body), 1199014)
        assert "重复" in chinese and "processes[0].process_info.bk_process_name" in chinese
    explicit = refusal_of(make_client(accept_language="en").cc.create_process_instance(body), 1199014)
    assert explicit == english


def test_every_bad_item_of_a_batch_is_named_and_nothing_is_kept(cc, estate, instances):
    body = {"bk_biz_id": estate["biz"], "service_instance_id": instances[1]}
    before = data_of(cc.list_process_instance(body))
    bad = [process("a", "1"), process("b", "70000"), process("c", "2", bk_func_name="")]
    message = refusal_of(cc.create_process_instance({**body, "processes": bad}), 1199011)
    assert "processes[1].process_info.bind_info[0].port" in message
    assert "processes[2].process_info.bk_func_name" in message
    assert "processes[0]" not in message
    assert data_of(cc.list_process_instance(body)) == before


def test_codes_that_clients_branch_on(cc, estate):
    ids = {"bk_biz_id": estate["biz"], "bk_host_id": estate["hosts"]}
    refusal_of(cc.transfer_resourcehost_to_idlemodule(ids), 1110056)
    foreign = {"bk_biz_id": 2, "bk_host_id": estate["hosts"]}
    refusal_of(cc.transfer_host_to_idlemodule(foreign), 1113002)
    refusal_of(cc.create_business({"data": {"bk_biz_name": "shop", "bk_biz_maintainer": USER}}), 1199014)


def test_credentials_that_do_not_hold(server, app_secret, make_client):
    refusal_of(make_client(bk_app_secret="not it").cc.search_business(), 1306000)
    refusal_of(make_client(bk_app_code="nobody").cc.search_business(), 1306000)
    anonymous = Client(endpoint=server.base, bk_api_ver="v2")
    refusal_of(anonymous.cc.search_business(), 1306000)


def test_users_have_the_rights_they_were_given(server, app_secret, estate):
    how = {"endpoint": server.base, "bk_app_code": APP, "bk_app_secret": app_secret}
    eve = get_client_by_user("eve", **how).cc
    refused = eve.create_set({"bk_biz_id": estate["biz"], "data": {"bk_set_name": "south"}})
    assert (refused["result"], refused["code"]) == (False, 9900403)
    [action] = refused["permission"]["actions"]
    assert action["id"] == "create_biz_topology"
    ids = [node["id"] for kind in action["related_resource_types"] for chain in kind["instances"] for node in chain]
    assert ids == [str(estate["biz"])]


def test_other_ways_to_the_same_door(server, app_secret):
    # Without a version in its paths, the default of a client that is made by hand.
    client = Client(endpoint=server.base)
    client.update_bkapi_authorization(bk_app_code=APP, bk_app_secret=app_secret, bk_username=USER)
    assert data_of(client.cc.search_business({"fields": ["bk_biz_id"]}))["count"] >= 1
    # By the token of a user, which needs no list of trusted apps.
    token = server.command_json("token", "create", "tom")["token"]
    client = Client(endpoint=server.base + "/", bk_api_ver="v2")
    client.update_bkapi_authorization(bk_app_code=APP, bk_app_secret=app_secret, bk_token=token)
    eventually(lambda: data_of(client.cc.search_business()))
    client.update_bkapi_authorization(bk_token="not it")
    refusal_of(client.cc.search_business(), 1306000)


def test_an_operation_that_is_not_there_yet(cc):
    with pytest.raises(HTTPResponseError) as raised:
        cc.search_object_topo({})
    assert raised.value.response.status_code == 404
    assert raised.value.response.json()["code"] == 1306404


def test_every_operation_of_the_server_that_the_sdk_has_was_called(server, cc, request):
    """Runs last, of a whole run: an operation that is added to the server comes into the tests above."""
    if len(request.session.items) < 10:
        pytest.skip("only some tests were run")
    paths = server.document()["paths"]
    served = {path.rstrip("/").rsplit("/", 1)[1] for path in paths if path.startswith("/api/c/compapi/")}
    known = {name for name in served if hasattr(type(cc), name)}
    assert len(known) >= 20
    assert known - called == set()
