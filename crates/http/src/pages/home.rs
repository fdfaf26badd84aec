//! The first page: what this is, how it is, and where to go from here.

use super::html::{Html, Page, escape};
use crate::answer::Answer;
use crate::state::State;

const STYLE: &str = concat!(include_str!("../../assets/page.css"), include_str!("../../assets/home.css"));
const SCRIPT: &str = include_str!("../../assets/page.js");

/// What the page tells of this server.
struct Facts<'a> {
    healthy: bool,
    dev: bool,
    store_bytes: u64,
    operations: usize,
    gateway_prefix: &'a str,
}

/// The page.
pub(super) fn answer(state: &State, healthy: bool) -> Answer {
    let facts = Facts {
        healthy,
        dev: state.settings.dev,
        store_bytes: state.store.engine().size_bytes(),
        operations: state.routes.operations().len(),
        gateway_prefix: &state.settings.gateway_prefix,
    };
    let body = body(&facts);
    Page::new(&Html { title: "Rollcall", style: STYLE, script: SCRIPT, body: &body }).into_answer()
}

/// A text in both languages; the page shows one of them.
fn both(english: &str, chinese: &str) -> String {
    format!("<span lang=\"en\">{}</span><span lang=\"zh\">{}</span>", escape(english), escape(chinese))
}

fn body(facts: &Facts<'_>) -> String {
    let Facts { healthy, dev, store_bytes, operations, gateway_prefix } = facts;
    let (mark, english, chinese) =
        if *healthy { ("good", "Healthy", "正常") } else { ("bad", "Not healthy", "异常") };
    let fact =
        |english: &str, chinese: &str, value: &str| format!("<div><dt>{}</dt>{value}</div>", both(english, chinese));
    let plain = |text: &str| format!("<dd>{}</dd>", escape(text));
    let state = [
        fact("State", "状态", &format!("<dd class=\"{mark}\">{}</dd>", both(english, chinese))),
        fact("Version", "版本", &plain(env!("CARGO_PKG_VERSION"))),
        fact("Store", "存储", &plain(&size(*store_bytes))),
        fact("Operations", "接口", &plain(&operations.to_string())),
    ];
    let notice = if *dev {
        let words = both(
            "Development mode: callers on this machine are administrators at the native door.",
            "开发模式：本机调用者在原生入口上拥有管理员权限。",
        );
        format!("<p class=\"notice\">{words}</p>")
    } else {
        String::new()
    };
    let door = |english: &str, chinese: &str, address: &str, who: (&str, &str)| {
        format!(
            "<li><strong>{}</strong> <code>{}</code><br><span class=\"quiet\">{}</span></li>",
            both(english, chinese),
            escape(address),
            both(who.0, who.1),
        )
    };
    let prefix = format!("/{}", gateway_prefix.trim_matches('/'));
    let doors = [
        door(
            "Native",
            "原生",
            "/api/v3/…",
            ("Header BK_User, believed from trusted peers only", "请求头 BK_User，仅信任指定来源"),
        ),
        door(
            "Gateway",
            "网关",
            &format!("{prefix}/api/v3/…"),
            ("Header X-Bkapi-Authorization with app and user", "请求头 X-Bkapi-Authorization，包含应用与用户"),
        ),
        door(
            "ESB",
            "ESB",
            "/api/c/compapi/v2/cc/…/",
            ("App and user in the body, or in the same header", "应用与用户在请求体或同一请求头中"),
        ),
    ];
    let link = |href: &str, name: (&str, &str), about: (&str, &str)| {
        format!(
            "<li><a href=\"{href}\"><b>{}</b><small>{}</small></a></li>",
            both(name.0, name.1),
            both(about.0, about.1)
        )
    };
    let links = [
        link("api/docs", ("API reference", "接口文档"), ("Every operation, with examples", "全部接口与示例")),
        link("api/openapi.json", ("OpenAPI", "OpenAPI"), ("The same for programs", "供程序使用的接口描述")),
        link("metrics", ("Metrics", "指标"), ("For Prometheus", "供 Prometheus 采集")),
        link("healthz", ("Health", "健康检查"), ("For load balancers", "供负载均衡器使用")),
        link("version", ("Version", "版本"), ("What is running", "当前运行的版本")),
    ];
    let lead = both(
        "The record of which processes should run where: business, set, module, host, and what runs on it. It speaks the API of BlueKing CMDB.",
        "记录哪些进程应当运行在哪里：业务、集群、模块、主机，以及主机上的进程。兼容蓝鲸配置平台的接口。",
    );
    format!(
        "<main>\n<header><h1>Rollcall</h1><button id=\"language\" type=\"button\"></button></header>\n\
         <p class=\"lead\">{lead}</p>\n<dl class=\"state\">{}</dl>\n{notice}\n\
         <h2>{}</h2>\n<ul class=\"doors\">{}</ul>\n<h2>{}</h2>\n<ul class=\"links\">{}</ul>\n</main>",
        state.concat(),
        both("Doors", "入口"),
        doors.concat(),
        both("From here", "更多"),
        links.concat(),
    )
}

/// A size for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, in whole numbers.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (20 * 1024 * 1024 - 1, "19.9 MiB"),
            (5 * 1024 * 1024 * 1024, "5.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn what_was_configured_is_no_markup() {
        let facts =
            |healthy, gateway_prefix| Facts { healthy, dev: false, store_bytes: 1, operations: 1, gateway_prefix };
        let text = body(&facts(true, "/<script>\"{stage}"));
        assert!(text.contains("/&lt;script&gt;&quot;{stage}/api/v3/…") && !text.contains("<script>"), "{text}");
        assert!(text.contains(">Healthy<") && body(&facts(false, "/p")).contains(">Not healthy<"));
    }
}
