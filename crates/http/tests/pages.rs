//! What a browser finds: the first page, the reference and the document it shows.

mod support;

use serde_json::Value;
use support::{Answer, TestApp, authorization};

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn pages_come_as_what_they_are_and_load_nothing_from_elsewhere() {
    let app = TestApp::new();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/api/docs", "text/html; charset=utf-8"),
        ("/api/openapi.json", "application/json; charset=utf-8"),
        ("/healthz", "application/json; charset=utf-8"),
        ("/version", "application/json; charset=utf-8"),
    ] {
        let got = app.send("GET", path, &[], "");
        assert_eq!((got.status, header(&got, "content-type")), (200, content_type), "{path}");
        assert_eq!(header(&got, "x-content-type-options"), "nosniff");
        let head = app.send("HEAD", path, &[], "");
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert_eq!(header(&head, "content-type"), content_type);
        if content_type.starts_with("text/html") {
            let policy = header(&got, "content-security-policy");
            assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
            assert!(!policy.contains("http") && !got.text.contains("src=") && !got.text.contains("@import"), "{path}");
            let links = got.text.match_indices("href=\"").map(|(i, m)| &got.text[i + m.len()..]);
            for link in links {
                assert!(!link.starts_with("http") && !link.starts_with("//"), "{path}: {}", &link[..30]);
            }
        }
    }
    let elsewhere = app.send("GET", "/api/nothing", &[], "");
    assert_eq!(elsewhere.status, 401);
}

#[test]
fn the_first_page_tells_state_doors_and_where_to_go() {
    let page = TestApp::new().send("GET", "/", &[], "").text;
    for text in [
        "Healthy",
        env!("CARGO_PKG_VERSION"),
        support::on_engine("KiB", "MiB"),
        "Development mode",
        "/api/v3/",
        "/api/bk-cmdb/{stage}/api/v3/",
        "/api/c/compapi/v2/cc/",
        "href=\"api/docs\"",
        "href=\"api/openapi.json\"",
        "href=\"metrics\"",
        "href=\"healthz\"",
        "href=\"version\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let page = TestApp::with().start().send("GET", "/", &[], "").text;
    assert!(!page.contains("Development mode"));
}

/// What the document promises is there: with the variables of its path filled in, every way leads to an operation.
#[test]
fn every_path_of_the_document_leads_to_an_operation() {
    let app = TestApp::new();
    let document: Value = app.send("GET", "/api/openapi.json", &[], "").json();
    assert_eq!(document["openapi"], "3.1.0");
    let bearer = authorization(support::USER);
    let mut ways = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, entry) in item.as_object().unwrap() {
            let parameters = entry["parameters"].as_array().unwrap().iter().filter(|p| p["in"] == "path");
            let path = parameters.fold(path.clone(), |path, parameter| {
                let value = match parameter["schema"]["type"].as_str().unwrap() {
                    "integer" => "987654321",
                    _ => parameter["schema"]["default"].as_str().unwrap_or("some"),
                };
                path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), value)
            });
            let caller = match entry["x-rollcall-door"].as_str().unwrap() {
                "native" => ("BK_User", "ops"),
                _ => ("X-Bkapi-Authorization", bearer.as_str()),
            };
            let method = method.to_ascii_uppercase();
            // A body of a wrong type is refused by the operation itself, so that nothing is written.
            let body = if method == "GET" { "" } else { r#"{"instances":7,"processes":7}"# };
            let got = app.send(&method, &path, &[caller], body);
            assert_eq!(got.status, 200, "{method} {path}: {}", got.text);
            let body = got.json();
            let envelope: Vec<_> = body.as_object().unwrap().keys().collect();
            let schema = &entry["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]["required"];
            let promised: Vec<_> = schema.as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
            assert!(promised.iter().all(|key| envelope.iter().any(|there| there == key)), "{path}: {}", got.text);
            ways += 1;
        }
    }
    assert!(ways > 40, "{ways}");
}
