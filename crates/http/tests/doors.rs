//! The doors: who is let in, how answers are wrapped, what happens to nonsense. Cases `G…` of `gateway` §11, `gateway` 6.2, 6.3.

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{APP, Answer, SECRET, TestApp, USER, authorization};

const LIST: &str = "/api/c/compapi/v2/cc/list_process_instance/";

fn credentials() -> Value {
    json!({"bk_app_code": APP, "bk_app_secret": SECRET, "bk_username": USER})
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn list_body() -> Value {
    json!({"bk_biz_id": 2, "service_instance_id": 5})
}

/// Everything but what is new with each request.
fn without_id(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[test]
fn g1_to_g4_apps_and_users() {
    let app = TestApp::new();
    let esb = |body: Value| app.send("POST", LIST, &[], body);
    let nobody = esb(json!({}));
    assert_eq!(nobody.status, 200);
    nobody.fails_with(1_306_000); // G1
    let id = nobody.json()["request_id"].as_str().unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()), "{id}");
    esb(with(list_body(), credentials())).data(); // G2
    let wrong = esb(with(credentials(), json!({"bk_app_secret": "wrong"})));
    let unknown = esb(with(credentials(), json!({"bk_app_code": "unknown"})));
    assert_eq!(without_id(&wrong), without_id(&unknown)); // G2
    wrong.fails_with(1_306_000);
    esb(with(credentials(), json!({"bk_app_secret": ""}))).fails_with(1_306_000);
    esb(with(credentials(), json!({"bk_app_code": "x".repeat(33)}))).fails_with(1_306_000);
    // Aliases of the names.
    esb(json!({"app_code": APP, "app_secret": SECRET, "username": USER, "service_instance_id": 5, "bk_biz_id": 2}))
        .data();
    // G4: a token that is not valid does not fall through to the name beside it, and the message says so.
    esb(with(credentials(), json!({"bk_token": "nonsense"}))).fails_with(1_306_000).naming("leave it out");
    esb(with(credentials(), json!({"access_token": "nonsense"}))).fails_with(1_306_000);
    esb(with(credentials(), json!({"bk_username": "x".repeat(65)}))).fails_with(1_306_000);
    esb(with(credentials(), json!({"bk_username": "a\nb"}))).fails_with(1_306_000);
    let token = json!({"bk_app_code": APP, "bk_app_secret": SECRET, "bk_token": app.token});
    esb(with(list_body(), token)).data();
}

#[test]
fn g3_only_allowed_apps_name_their_users() {
    let app = TestApp::with().login_required().administrator(USER).start();
    let esb = |body: Value| app.send("POST", LIST, &[], body);
    esb(with(list_body(), credentials())).fails_with(1_306_000).naming("bk_token"); // G3
    let token = json!({"bk_app_code": APP, "bk_app_secret": SECRET, "bk_token": app.token});
    esb(with(list_body(), token)).data();
    app.gateway("POST", "/findmany/proc/process_instance", list_body()).fails_with(1_100_004);
}

#[test]
fn the_cookie_counts_only_where_no_other_site_can_send_it() {
    // gateway 10.4
    let app = TestApp::with()
        .settings(|settings| settings.allowed_origins = vec!["https://ops.example.com".into()])
        .login_required()
        .administrator(USER)
        .start();
    let cookie = format!("other=1; bk_token={}", app.token);
    let body = with(list_body(), json!({"bk_app_code": APP, "bk_app_secret": SECRET}));
    let json_type = ("Content-Type", "application/json; charset=utf-8");
    let ask = |headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("Cookie", &cookie));
        app.send("POST", LIST, &headers, body.clone()).code()
    };
    assert_eq!(ask(&[json_type]), 0);
    assert_eq!(ask(&[json_type, ("Origin", "https://ops.example.com")]), 0);
    assert_eq!(ask(&[json_type, ("Referer", "https://ops.example.com/page")]), 0);
    assert_eq!(ask(&[json_type, ("Origin", "https://evil.example.com")]), 1_306_000);
    assert_eq!(ask(&[json_type, ("Origin", "https://ops.example.com.evil.com")]), 1_306_000);
    assert_eq!(ask(&[("Content-Type", "text/plain")]), 1_306_000);
    assert_eq!(ask(&[]), 1_306_000);
}

#[test]
fn g5_to_g7_ways_to_an_operation() {
    let app = TestApp::new();
    let body = with(list_body(), credentials());
    for path in [
        "/api/c/compapi/v2/cc/list_process_instance/",
        "/api/c/compapi/v2/cc/list_process_instance",
        "//api/c/compapi/v2/cc/list_process_instance/",
        "/api//c/compapi//v2/cc/list_process_instance//",
        "/api/c/compapi/cc/list_process_instance/",
    ] {
        app.send("POST", path, &[], body.clone()).data(); // G5
    }
    let query =
        format!("{LIST}?bk_app_code={APP}&bk_app_secret={SECRET}&bk_username={USER}&service_instance_id=5&bk_biz_id=2");
    app.send("GET", &query, &[], "").data(); // G5: digits of a query are integers
    for (method, path) in [("PUT", LIST), ("DELETE", LIST), ("PATCH", LIST), ("POST", "/api/c/compapi/v2/cc/nope/")] {
        let answer = app.send(method, path, &[], body.clone());
        assert_eq!(answer.status, 404, "{method} {path}"); // G6
        answer.fails_with(1_306_404);
        assert_eq!(answer.json()["data"], Value::Null);
    }
    for headers in
        [&[("Content-Type", "application/x-www-form-urlencoded")][..], &[("Content-Type", "text/plain")], &[]]
    {
        app.send("POST", LIST, headers, body.clone()).data(); // G7
    }
    let form = format!("bk_app_code={APP}&bk_app_secret={SECRET}&bk_username={USER}&service_instance_id=5&bk_biz_id=2");
    app.send("POST", LIST, &[], form.as_str()).data();
    // Nobody knows yet who sends a form, so a wide one must not cost the square of its fields.
    let wide: String = (0..300_000).map(|i| format!("k{i}=1&")).collect();
    let begun = std::time::Instant::now();
    assert_eq!(app.send("POST", LIST, &[], wide.as_str()).code(), 1_306_000);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn g8_g9_g14_path_variables_come_out_of_the_body() {
    let app = TestApp::new();
    app.esb("search_biz_inst_topo", json!({})).fails_with(1_306_000).naming("bk_biz_id");
    app.esb("search_biz_inst_topo", json!({"bk_biz_id": 2})).data();
    app.esb("search_biz_inst_topo", json!({"bk_biz_id": "2"})).data();
    app.esb("get_biz_internal_module", json!({})).fails_with(1_306_406).naming("bk_biz_id"); // G8
    app.esb("get_biz_internal_module", json!({"bk_biz_id": "2"})).data();
    app.esb("get_biz_internal_module", json!({"bk_biz_id": 2, "bk_supplier_account": "tencent"})).data();
    for nonsense in [json!("3/../../x"), json!(""), json!([2]), json!({"a": 1}), json!(true), json!("x".repeat(200))] {
        app.esb("get_biz_internal_module", json!({"bk_biz_id": nonsense})).fails_with(1_306_406); // G14
    }
    // The business clients create comes in `data`, and answers with its row.
    let made =
        app.esb("create_business", json!({"data": {"bk_biz_name": "via esb", "bk_biz_maintainer": "ops"}})).data();
    assert_eq!(made["bk_biz_name"], "via esb");
    app.esb("create_business", json!({"bk_biz_name": "x"})).fails_with(1_306_000).naming("data");
}

#[test]
fn g10_g11_the_header_beats_the_body_separately_for_app_and_user() {
    let app = TestApp::new();
    let header = json!({"bk_app_code": APP, "bk_app_secret": SECRET}).to_string();
    let body = with(list_body(), json!({"bk_app_code": "other", "bk_app_secret": "x", "bk_username": USER}));
    app.send("POST", LIST, &[("X-Bkapi-Authorization", &header)], body.clone()).data(); // G10
    let user_only = json!({"bk_username": USER}).to_string();
    app.send("POST", LIST, &[("X-Bkapi-Authorization", &user_only)], with(credentials(), list_body())).data();
    app.send("POST", LIST, &[("X-Bkapi-Authorization", "nope")], body.clone()).fails_with(1_306_406); // G11
    app.send("POST", LIST, &[("X-Bkapi-Authorization", "[1]")], body).fails_with(1_306_406);
    let no_user = json!({"bk_app_code": APP, "bk_app_secret": SECRET});
    app.send("POST", LIST, &[("X-Bkapi-User-Name", USER)], with(no_user, list_body())).data();
}

#[test]
fn g13_g25_malformed_bodies() {
    let app = TestApp::new();
    let path = "/findmany/proc/process_instance";
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let truncated = with(list_body(), credentials()).to_string();
    let truncated = &truncated[..truncated.len() - 1];
    for body in
        [truncated, "{\"bk_biz_id\":", "[1", "[]", "\"text\"", "{} xx", deep.as_str(), "\u{feff}{}", "{'a':1}", "NaN"]
    {
        let native = app.post(path, body);
        assert_eq!(native.status, 200, "{body}");
        native.fails_with(1_199_000); // G25
        app.gateway("POST", path, body).fails_with(1_199_000);
        let esb = app.send("POST", LIST, &[], body);
        assert_eq!(esb.status, 200);
        esb.fails_with(1_306_000); // G13
    }
    app.post(path, b"{\"a\":\"\xff\xfe\"}".to_vec()).fails_with(1_199_000);
    for body in ["", "null", "{}", "  "] {
        app.post(path, body).fails_with(1_199_006).naming("service_instance_id"); // G25: the operation's own
    }
    for (field, value) in [
        ("service_instance_id", "\"x\""),
        ("service_instance_id", "1.0"),
        ("service_instance_id", "1e0"),
        ("service_instance_id", "true"),
        ("service_instance_id", "99999999999999999999526"),
        ("bk_biz_id", "[2]"),
        ("bk_biz_id", "{}"),
    ] {
        let body = format!("{{\"service_instance_id\":5,\"bk_biz_id\":2,\"{field}\":{value}}}");
        app.post(path, body.as_str()).fails_with(1_199_000).naming(field); // G25
    }
    for body in [
        r#"{"bk_biz_id":0,"bk_biz_id":2,"service_instance_id":5}"#,
        r#"{"bk_biz_id":2,"SERVICE_INSTANCE_ID":5}"#,
        r#"{"bk_biz_id":2,"service_instance_Id":5,"unknown":[{"deep":{}}]}"#,
        r#"{"bk_biz_id":2,"service_instance_id":9223372036854775807}"#,
    ] {
        assert_eq!(app.post(path, body).data(), json!([]), "{body}");
    }
    let nul = r#"{"bk_biz_id":2,"service_instance_id":5,"processes":[{"process_info":{"user":"a\u0000b"}}]}"#;
    app.post("/create/proc/process_instance", nul).fails_with(1_199_011).naming("processes[0].process_info.user");
    for filter in [r#"{"condition":{"bk_set_name":"a\u0000"}}"#, r#"{"host_property_filter":{"a":"\u0000"}}"#] {
        app.post("/set/search/0/2", filter).fails_with(1_199_006);
    }
    let half = nul.replace("\\u0000", "\\ud800");
    app.post("/create/proc/process_instance", half.as_str())
        .fails_with(1_199_011)
        .naming("processes[0].process_info.user");
}

#[test]
fn g15_to_g18_the_gateway() {
    let app = TestApp::with().start();
    let path = "/findmany/proc/process_instance";
    let full = format!("/api/bk-cmdb/prod/api/v3{path}");
    let fails = |answer: Answer, status: u16, code: i64| {
        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
        let body = answer.json();
        let mut keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["code", "code_name", "data", "message", "result"]);
        assert!(answer.headers.contains_key("x-bkapi-error-code"));
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
    };
    fails(app.send("POST", &full, &[], list_body()), 400, 1_640_001); // G15
    let wrong = json!({"bk_app_code": APP, "bk_app_secret": "wrong", "bk_username": USER}).to_string();
    fails(app.send("POST", &full, &[("X-Bkapi-Authorization", &wrong)], list_body()), 400, 1_640_001);
    fails(app.send("POST", &full, &[("X-Bkapi-Authorization", "nope")], list_body()), 400, 1_640_001);
    fails(app.gateway("POST", "/nope", list_body()), 404, 1_640_401);
    fails(app.gateway("GET", path, list_body()), 404, 1_640_401);
    fails(app.send("POST", &full, &[], with(list_body(), credentials())), 400, 1_640_001); // G16
    let fine = app.gateway("POST", path, list_body());
    fine.data(); // G17
    assert!(fine.text.starts_with(r#"{"result":true,"code":0,"message":"success","permission":null,"data":"#));
    assert!(fine.headers.contains_key("x-bkapi-request-id") && fine.headers.contains_key("x-request-id"));
    assert!(!fine.headers.contains_key("x-bkapi-error-code"));
    let refused = app.gateway("POST", "/create/proc/process_instance", list_body());
    let body = refused.json();
    assert_eq!((&body["code"], &body["bk_error_code"]), (&json!(9_900_403), &json!(9_900_403))); // G18
    assert_eq!(body["permission"]["actions"][0]["id"], "edit_biz_service_instance");
    // Any stage, and clients that are set to the root URL.
    let header = authorization(USER);
    for path in ["/api/bk-cmdb/stag/api/v3/findmany/proc/process_instance", "/api/v3/findmany/proc/process_instance"] {
        let answer = app.send("POST", path, &[("X-Bkapi-Authorization", &header)], list_body());
        assert!(answer.text.starts_with(r#"{"result":true,"code":0,"#), "{}", answer.text);
    }
}

#[test]
fn g21_to_g24_and_g26_the_native_door() {
    let app = TestApp::with().administrator(USER).start();
    let path = "/api/v3/findmany/proc/process_instance";
    let ask = |headers: &[(&str, &str)]| app.send("POST", path, headers, list_body());
    ask(&[("BK_User", USER), ("HTTP_BLUEKING_SUPPLIER_ID", "0")]).data(); // G21
    ask(&[("X-Bkcmdb-User", USER), ("X-Bkcmdb-Supplier-Account", "0")]).data();
    ask(&[("X-Bkcmdb-User", USER), ("BK_User", "other")]).data();
    ask(&[("BK_User", USER)]).data(); // G22: the account is taken as "0"
    ask(&[("BK_User", USER), ("HTTP_BLUEKING_SUPPLIER_ID", "tencent")]).data();
    let nobody = ask(&[("HTTP_BLUEKING_LANGUAGE", "en")]);
    assert_eq!(nobody.status, 401);
    nobody.fails_with(1_199_027).naming("user"); // G22
    for (method, path, status) in [
        ("POST", "/api/v3/findmany/proc/nope", 404),
        ("GET", "/api/v3/findmany/proc/process_instance", 405),
        ("PATCH", "/api/v3/findmany/proc/process_instance", 405),
        ("POST", "/api/v3", 404),
        ("POST", "/somewhere", 404),
    ] {
        let answer = app.send(method, path, &[("BK_User", USER)], list_body());
        assert_eq!(answer.status, status, "{method} {path}"); // G24
        answer.fails_with(1_199_045);
        assert_eq!(answer.json()["bk_error_code"], 1_199_045);
    }
    app.send("POST", &format!("{path}/"), &[("BK_User", USER)], list_body()).data();
    let echoed = ask(&[("BK_User", USER), ("X-Request-ID", "abc")]);
    assert_eq!(
        (&echoed.headers["x-request-id"], &echoed.headers["cc_request_id"]),
        (&"abc".parse().unwrap(), &"abc".parse().unwrap())
    );
    for sent in [None, Some("x".repeat(300)), Some("a b".to_owned())] {
        let mut headers = vec![("BK_User", USER)];
        headers.extend(sent.as_deref().map(|id| ("X-Request-ID", id)));
        let answer = ask(&headers);
        let id = answer.headers["x-request-id"].to_str().unwrap();
        assert!(id.len() == 26 && id.starts_with("cc0000"), "{id}"); // G26
    }
}

#[test]
fn g23_identity_headers_of_strangers_are_nothing() {
    let app = TestApp::with().settings(|settings| settings.trusted_proxies.clear()).administrator("admin").start();
    let path = "/api/v3/findmany/proc/process_instance";
    let answer = app.send("POST", path, &[("BK_User", "admin")], list_body());
    assert_eq!(answer.status, 401);
    answer.fails_with(1_199_027); // G23
    let with_token = TestApp::with()
        .settings(|settings| settings.proxy_token = Some(rollcall_http::Secret::new("shared-with-the-proxy")))
        .start();
    assert_eq!(with_token.send("POST", path, &[("BK_User", "admin")], list_body()).status, 401);
    let headers = [("BK_User", "admin"), ("X-Rollcall-Proxy-Token", "shared-with-the-proxy")];
    with_token.send("POST", path, &headers, list_body()).data();
}

/// Every operation that asks for a right refuses a caller without it, and names the right (G27).
#[test]
fn g27_every_need_refuses_who_lacks_it() {
    let app = TestApp::with().start();
    let mut asked = 0;
    for operation in rollcall_app::table::operations() {
        if operation.needs.is_empty() {
            continue;
        }
        asked += 1;
        let body = json!({"bk_biz_id": 2, "bk_set_id": 2, "bk_parent_id": 2, "set_template_id": 1, "data": {}, "page": {"limit": 1},
            "host_info": {"0": {"bk_host_innerip": "10.0.0.1"}}, "bk_host_id": [1], "bk_module_id": 1, "is_increment": false});
        let mut body = body;
        if operation.name == "transfer_host_module" {
            body["bk_module_id"] = json!([1]);
        }
        if operation.name == "put_updatemany_proc_service_instance_biz" {
            body["data"] = json!([]);
        }
        if operation.name == "list_operation_audit" {
            body["condition"] = json!({"bk_biz_id": 2, "operation_time": {"start": "2026-01-01"}});
        }
        let names_no_business = operation.name == "find_audit_by_id";
        body["id"] = if names_no_business { json!([1]) } else { json!(1) };
        let answer = app.call_as("nobody", operation.name, body);
        answer.fails_with(9_900_403);
        let permission = answer.json()["permission"].clone();
        assert_eq!(permission["system_id"], "bk_cmdb");
        let action = permission["actions"][0]["id"].as_str().unwrap().to_owned();
        assert!(operation.needs.iter().any(|need| need.wire() == action), "{} named {action}", operation.name);
        for kind in permission["actions"][0]["related_resource_types"].as_array().unwrap() {
            if kind["type"] == "biz" && !names_no_business {
                assert_eq!(kind["instances"][0][0]["id"], "2", "{}", operation.name);
            }
        }
    }
    assert!(asked >= 8, "{asked}");
    assert_eq!(app.number("SELECT count(*) FROM audit"), 0);
}

/// A right on one business is none on another, and `--all` is one on each.
#[test]
fn rights_are_given_per_business_or_on_all() {
    let app = TestApp::with().start();
    app.grant("one", Action::EditServiceInstance, Some(2));
    app.grant("all", Action::EditServiceInstance, None);
    let create = |user: &str, business: i64| {
        let body = json!({"bk_biz_id": business, "service_instance_id": 5, "processes": [{"process_info": {}}]});
        app.esb_as(user, "create_process_instance", body).code()
    };
    assert_eq!((create("one", 2), create("one", 1)), (1_199_019, 9_900_403));
    assert_eq!((create("all", 2), create("all", 1)), (1_199_019, 1_199_019));
    assert_eq!((create("none", 2), create("none", 777)), (9_900_403, 9_900_403));
}

#[test]
fn g28_languages() {
    let app = TestApp::new();
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
    let esb = |headers: &[(&str, &str)]| app.send("POST", LIST, headers, credentials()).message();
    assert!(!chinese(&esb(&[])));
    assert!(chinese(&esb(&[("Blueking-Language", "zh-cn")])));
    assert!(chinese(&esb(&[("Cookie", "blueking_language=zh-hans")])));
    assert!(!chinese(&esb(&[("blueking-language", "en")])));
    let native = |headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("BK_User", USER));
        app.send("POST", "/api/v3/findmany/proc/process_instance", &headers, "{}").message()
    };
    assert!(chinese(&native(&[])));
    assert!(!chinese(&native(&[("HTTP_BLUEKING_LANGUAGE", "en")])));
    assert!(!chinese(&native(&[("X-Bkcmdb-Language", "EN-us")])));
    assert!(chinese(&native(&[("X-Bkcmdb-Language", "fr")])));
}

#[test]
fn g31_bodies_over_the_limit() {
    let app = TestApp::new();
    let big = vec![b' '; 10 * 1024 * 1024 + 1];
    for (path, headers, code) in [
        (LIST, vec![], 1_306_000),
        ("/api/bk-cmdb/prod/api/v3/findmany/proc/process_instance", vec![], 1_641_301),
        ("/api/v3/findmany/proc/process_instance", vec![("BK_User", USER)], 1_199_004),
    ] {
        let answer = app.send("POST", path, &headers, big.clone());
        assert_eq!((answer.status, answer.code()), (413, code), "{path}");
    }
    let at_the_limit = vec![b' '; 10 * 1024 * 1024];
    app.post("/findmany/proc/process_instance", at_the_limit).fails_with(1_199_006);
}

/// What no client library sends. Each is answered or hung up on, and the server goes on.
#[test]
fn nonsense_below_http() {
    use std::io::{Read, Write};
    let app = TestApp::with()
        .settings(|settings| {
            settings.dev = true;
            settings.limits.header_read = std::time::Duration::from_millis(300);
            settings.limits.request = std::time::Duration::from_millis(600);
        })
        .start();
    let raw = |request: &[u8]| {
        let mut stream = std::net::TcpStream::connect(app.address).unwrap();
        // The server may hang up before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let status = |request: &str| {
        let answer = raw(request.as_bytes());
        answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    let long = "a".repeat(9_000);
    assert_eq!(status(&format!("GET /api/v3/{long} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")), Some(414));
    assert_eq!(status(&format!("GET /api/v3/x HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000))), Some(431));
    let odd = "POST /api/v3/x%ff%00%2e%2e HTTP/1.1\r\nHost: x\r\nBK_User: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(status(odd), Some(404));
    assert_eq!(status("GARBAGE\r\n\r\n"), Some(400));
    let path = "/api/v3/findmany/proc/process_instance";
    let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nBK_User: a\r\n");
    assert_eq!(status(&format!("{post}Content-Length: 9999999999999999999999\r\n\r\n")), Some(400));
    assert_eq!(status(&format!("{post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n")), Some(200));
    // Headers and bodies that never end cost a bounded time.
    assert!(matches!(status(&post), None | Some(408)));
    let unfinished = raw(format!("{post}Content-Length: 100\r\n\r\n{{").as_bytes());
    assert!(unfinished.contains("1199004"), "{unfinished}");
    assert_eq!(
        status(&format!("GET /api/v3/x HTTP/1.1\r\nX: {}\r\nConnection: close\r\n\r\n", "a".repeat(40_000))),
        Some(431)
    );
    let header = authorization(USER);
    let gateway =
        format!("GET /api/v3/{long} HTTP/1.1\r\nX-Bkapi-Authorization: {header}\r\nConnection: close\r\n\r\n");
    assert!(raw(gateway.as_bytes()).contains("URI_SIZE_LIMIT_EXCEED"));
    app.post("/findmany/proc/process_instance", list_body()).data();
}

#[test]
fn answers_cannot_be_cached_or_sniffed() {
    let app = TestApp::new();
    let answer = app.post("/findmany/proc/process_instance", list_body());
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
}

#[test]
fn health_version_and_measures_need_no_identity() {
    let app = TestApp::with().start();
    assert_eq!(app.send("GET", "/healthz", &[], "").status, 200);
    assert!(app.send("GET", "/version", &[], "").json()["version"].is_string());
    app.esb("list_process_instance", list_body()).data();
    app.esb("create_process_instance", list_body()).fails_with(9_900_403);
    let measures = app.send("GET", "/metrics", &[], "").text;
    for line in [
        "rollcall_requests_total{operation=\"list_process_instance\",door=\"esb\"} 1",
        "rollcall_errors_total{code=\"9900403\"} 1",
        "rollcall_request_duration_seconds_count{operation=\"list_process_instance\",door=\"esb\"} 1",
        "rollcall_writer_queue_depth",
        "rollcall_writer_batch_size_count",
        "rollcall_writer_commit_seconds_count",
        "rollcall_store_size_bytes",
    ] {
        assert!(measures.contains(line), "{line} in\n{measures}");
    }
}

/// An engine whose every read and write ends like this.
struct Ending {
    inner: std::sync::Arc<dyn rollcall_store::Engine>,
    how: How,
    /// The set-up is let through.
    armed: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

#[derive(Clone, Copy)]
enum How {
    /// Writes are carried out; nobody is told.
    Silent,
    Panic,
    Deadline,
    Full,
    Broken,
}

impl Ending {
    fn error(&self) -> Option<rollcall_store::StoreError> {
        use rollcall_store::StoreError;
        if !self.armed.load(std::sync::atomic::Ordering::SeqCst) {
            return None;
        }
        Some(match self.how {
            How::Panic => panic!("an engine that panics"),
            How::Silent => return None,
            How::Deadline => StoreError::Deadline(5),
            How::Full => StoreError::Busy,
            How::Broken => StoreError::Unavailable("the disk of the machine /dev/secret is full".into()),
        })
    }
}

impl rollcall_store::Engine for Ending {
    fn read(
        &self,
        snapshot: bool,
        deadline: std::time::Duration,
        work: &mut rollcall_store::ReadRun<'_>,
    ) -> Result<(), rollcall_store::Stop> {
        match self.error() {
            Some(error) => Err(rollcall_store::Stop::Failed(error)),
            None => self.inner.read(snapshot, deadline, work),
        }
    }

    fn reads_here(&self) -> bool {
        self.inner.reads_here()
    }

    fn read_apart(&self, snapshot: bool, deadline: std::time::Duration, work: rollcall_store::Work) {
        match self.how {
            // A panic on one of the engine's own threads is caught there.
            How::Panic if self.armed.load(std::sync::atomic::Ordering::SeqCst) => {
                let run = Box::new(|_: &mut dyn rollcall_store::Tx| panic!("an engine that panics"));
                self.inner.read_apart(snapshot, deadline, rollcall_store::Work { run, ..work });
            }
            How::Panic => self.inner.read_apart(snapshot, deadline, work),
            _ => match self.error() {
                Some(error) => (work.done)(Err(rollcall_store::Stop::Failed(error))),
                None => self.inner.read_apart(snapshot, deadline, work),
            },
        }
    }

    fn write(&self, work: rollcall_store::Work) {
        match self.how {
            // A panic on the writer's own thread is caught there, see the store's tests.
            How::Panic => self.inner.write(work),
            How::Silent if self.armed.load(std::sync::atomic::Ordering::SeqCst) => {
                let done = work.done;
                let done = Box::new(|result| std::mem::forget((done, result)));
                self.inner.write(rollcall_store::Work { done, ..work });
            }
            _ => match self.error() {
                Some(error) => (work.done)(Err(rollcall_store::Stop::Failed(error))),
                None => self.inner.write(work),
            },
        }
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// Whatever the store does, a caller gets a numbered answer that says nothing of the machine (`gateway G30`, 6.3).
#[test]
fn g30_a_failing_store_is_a_numbered_answer() {
    for (how, read, write) in [
        (How::Panic, 1_199_999, 1_199_019),
        (How::Deadline, 1_199_901, 1_199_901),
        (How::Full, 1_199_997, 1_199_997),
        (How::Broken, 1_199_017, 1_199_018),
    ] {
        let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = armed.clone();
        let app = TestApp::with()
            .administrator(USER)
            .engine(move |inner| std::sync::Arc::new(Ending { inner, how, armed: seen }))
            .start();
        armed.store(true, std::sync::atomic::Ordering::SeqCst);
        let body = json!({"bk_biz_id": 2, "service_instance_id": 5, "processes": [{"process_info": {}}]});
        for (path, code) in [("/findmany/proc/process_instance", read), ("/create/proc/process_instance", write)] {
            for _ in 0..2 {
                let answer = app.post(path, body.clone());
                assert_eq!((answer.status, answer.code()), (200, code), "{}", answer.text);
                assert!(!answer.text.contains("/dev/secret"));
                assert_eq!(app.gateway("POST", path, body.clone()).code(), code);
            }
        }
        armed.store(false, std::sync::atomic::Ordering::SeqCst);
        app.post("/findmany/proc/process_instance", body).data();
    }
}

/// A write that is not answered in time may have been carried out, and the answer says so.
#[test]
fn a_write_without_an_answer_in_time_has_an_unknown_outcome() {
    let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = armed.clone();
    let app = TestApp::with()
        .settings(|settings| {
            settings.dev = true;
            settings.limits.request = std::time::Duration::from_secs(1);
        })
        .engine(move |inner| std::sync::Arc::new(Ending { inner, how: How::Silent, armed: seen }))
        .start();
    armed.store(true, std::sync::atomic::Ordering::SeqCst);
    let body = json!({"bk_biz_name": "late", "bk_biz_maintainer": "ann"});
    app.post("/biz/0", body).fails_with(1_199_902).naming("may have been made");
    assert_eq!(app.number("SELECT count(*) FROM business WHERE name = 'late'"), 1);
}

/// The option that asks for a right where the original lets every caller read (`gateway` 8.4).
#[test]
fn reads_can_be_protected() {
    let app = TestApp::with().settings(|settings| settings.protect_reads = true).start();
    app.grant("ops", Action::FindBusinessResource, Some(2));
    let list = |business: i64| {
        let body = json!({"bk_biz_id": business, "service_instance_id": 5, "page": {"limit": 1}});
        [
            "list_process_instance",
            "list_service_instance",
            "list_service_instance_detail",
            "search_set",
            "search_module",
        ]
        .map(|operation| app.esb(operation, body.clone()).code())
    };
    assert_eq!((list(2), list(1)), ([0; 5], [9_900_403; 5]));
}

#[test]
fn every_bad_item_is_listed_for_those_who_ask() {
    let app = TestApp::new();
    let estate = app.estate();
    let instance = app.instance(&estate, support::process("first"));
    let bad: Vec<_> = (0..30).map(|i| json!({"process_info": {"bk_func_name": format!("f{i}")}})).collect();
    let body = json!({"bk_biz_id": estate.business, "service_instance_id": instance, "processes": bad});
    let path = "/create/proc/process_instance";
    app.post(path, body.clone()).fails_with(1_199_010).naming("and 10 more");
    assert_eq!(app.post(path, body.clone()).json()["data"], json!(null));

    let full = ("X-Rollcall-Errors", "full");
    let native = [("BK_User", USER), ("HTTP_BLUEKING_SUPPLIER_ID", "0"), ("HTTP_BLUEKING_LANGUAGE", "en"), full];
    let header = authorization(USER);
    let gateway = [("X-Bkapi-Authorization", header.as_str()), ("X-Bkcmdb-Language", "en"), full];
    let answers = [
        app.send("POST", &format!("/api/v3{path}"), &native, body.clone()),
        app.send("POST", &format!("/api/bk-cmdb/prod/api/v3{path}"), &gateway, body.clone()),
        app.send("POST", "/api/c/compapi/v2/cc/create_process_instance/", &[full], with(body, credentials())),
    ];
    for answer in answers {
        answer.fails_with(1_199_010);
        let errors = answer.json()["data"]["errors"].clone();
        assert_eq!(errors.as_array().unwrap().len(), 30, "{errors}");
        assert_eq!(errors[29]["path"], "processes[29].process_info.bk_process_name");
        assert_eq!(errors[29]["code"], 1_199_010);
        assert!(errors[29]["message"].as_str().unwrap().contains("bk_process_name"));
    }
    // Also where an input does not even have the right types, and never of a success.
    let list = "/api/v3/findmany/proc/process_instance";
    let wrong = app.send("POST", list, &native, json!({"bk_biz_id": "x", "service_instance_id": "y"}));
    assert_eq!(wrong.fails_with(1_199_000).json()["data"]["errors"].as_array().unwrap().len(), 2);
    let right = json!({"bk_biz_id": estate.business, "service_instance_id": instance});
    assert_eq!(app.send("POST", list, &native, right).data().as_array().unwrap().len(), 1);
}
