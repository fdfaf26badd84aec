//! Attributes as search_object_attribute answers them (`topology` 11.1).

use super::{Attribute, Choices, Kind, Model, TextRule, catalogue, choices};
use crate::address::Family;
use crate::condition::Condition;
use crate::fault::{Cause, Fault, Reason};
use crate::id::SUPPLIER_ACCOUNT;
use crate::json::{Decoder, FieldPath, Json, Object};
use crate::page::{Page, PageIn, SortKey};
use crate::wire_input;

const CREATOR: &str = "cc_system";

/// The documents of all built-in attributes in the order of their numbers. `time` is when the store was made, in the form
/// `2006-01-02 15:04:05`.
pub fn built_in_documents(time: &str) -> Vec<Object> {
    catalogue().map(|(number, model, attribute)| document_of(number, model, attribute, time)).collect()
}

/// The document of one attribute.
pub fn document_of(number: i64, model: Model, attribute: &Attribute, time: &str) -> Object {
    let many = matches!(attribute.kind, Kind::Users(_)) && !attribute.by_server;
    members([
        ("bk_biz_id", Json::Int(0)),
        ("id", Json::Int(number)),
        ("bk_supplier_account", SUPPLIER_ACCOUNT.into()),
        ("bk_obj_id", model.wire().into()),
        ("bk_property_id", attribute.id.into()),
        ("bk_property_name", attribute.name.into()),
        ("bk_property_group", attribute.group.id.into()),
        ("bk_property_group_name", attribute.group.name.into()),
        ("bk_property_index", Json::Int(attribute.index)),
        ("unit", attribute.unit.into()),
        ("placeholder", "".into()),
        ("editable", attribute.editable.into()),
        ("ispre", true.into()),
        ("isrequired", attribute.required.into()),
        ("isreadonly", false.into()),
        ("isonly", false.into()),
        ("bk_issystem", attribute.system.into()),
        ("bk_isapi", attribute.hidden.into()),
        ("bk_property_type", attribute.kind.wire().into()),
        ("option", option(attribute.kind)),
        ("default", Json::Null),
        ("ismultiple", many.into()),
        ("description", "".into()),
        ("bk_template_id", Json::Int(0)),
        ("creator", CREATOR.into()),
        ("create_time", time.into()),
        ("last_time", time.into()),
    ])
}

wire_input! {
    pub struct PagedIn {
        pub page: PageIn = "page",
    }
}

/// The attributes a request asks for, out of these documents. The whole body is the filter: every key is compared with the
/// documents, and one that they do not have matches none. `bk_supplier_account` and credentials were taken out before.
pub fn search_attributes(filter: &Object, documents: Vec<Object>) -> Result<Vec<Object>, Vec<Fault>> {
    let mut filter = filter.clone();
    let page = match filter.remove("page") {
        None | Some(Json::Null) => Page::all(),
        Some(page) => read_page(page)?,
    };
    let business = match filter.remove("bk_biz_id") {
        None | Some(Json::Null) => 0,
        Some(Json::Int(business)) => business,
        Some(_) => return Err(vec![Fault::new(Cause::ParamInvalid, "bk_biz_id").because(Reason::NeedsInteger)]),
    };
    let condition = Condition::parse(&filter, &FieldPath::root())?;
    let wanted = |document: &Object| {
        let owner = document.get("bk_biz_id").and_then(Json::as_int);
        let shown = |flag| document.get(flag) == Some(&Json::Bool(false));
        let known = owner == Some(0) || owner == Some(business);
        known && shown("bk_issystem") && shown("bk_isapi") && condition.matches(document)
    };
    let mut found: Vec<Object> = documents.into_iter().filter(wanted).collect();
    let by = |field: &str| SortKey { field: field.to_owned(), descending: false };
    Page { sort: vec![by("bk_property_index"), by("id")], ..Page::all() }.sort_rows(&mut found, |document| document);
    Ok(page.take(found, |document| document))
}

/// Decoded inside of an object, so that faults name `page.limit` and not `limit`.
fn read_page(page: Json) -> Result<Page, Vec<Fault>> {
    let body = Object::from_iter([("page".to_owned(), page)]);
    let PagedIn { page } = Decoder::decode(Json::Object(body), false)?;
    page.counted(Cause::ParamInvalid).map_err(|failure| failure.faults().to_vec())
}

/// What `option` says of a kind of value.
fn option(kind: Kind) -> Json {
    match kind {
        Kind::ShortText(TextRule::AgentId) => "^[a-zA-Z0-9]{0,64}$".into(),
        Kind::Addresses(Family::V4) => IPV4_LIST.into(),
        Kind::Addresses(Family::V6) => IPV6_LIST.into(),
        Kind::Int(Some((min, max))) => Json::Object(members([("min", Json::Int(min)), ("max", Json::Int(max))])),
        Kind::Enum(choices) => choice_list(choices),
        Kind::List(texts) => Json::List(texts.iter().map(|text| (*text).into()).collect()),
        Kind::Bool => Json::Bool(false),
        Kind::BindRows => Json::List(bind_columns()),
        Kind::ShortText(TextRule::Any | TextRule::NodeName) | Kind::LongText | Kind::Int(None) => "".into(),
        Kind::Users(_) | Kind::TimeZone | Kind::Time | Kind::CloudArea => "".into(),
    }
}

// Patterns for forms in clients. They let through a little more than the rules of `address`, which decide.
const IPV4_LIST: &str = concat!(
    r"^((25[0-5]|2[0-4]\d|1?\d{1,2})\.){3}(25[0-5]|2[0-4]\d|1?\d{1,2})",
    r"(,((25[0-5]|2[0-4]\d|1?\d{1,2})\.){3}(25[0-5]|2[0-4]\d|1?\d{1,2}))*$",
);
const IPV6_LIST: &str =
    concat!(r"^[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f.]{0,15}){2,7}", r"(,[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f.]{0,15}){2,7})*$",);
const BIND_IP: &str = concat!(
    r"^(((25[0-5]|2[0-4]\d|1?\d{1,2})\.){3}(25[0-5]|2[0-4]\d|1?\d{1,2})",
    r"|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f.]{0,15}){2,7}(%[0-9A-Za-z]+)?)$",
);
const BIND_PORT: &str = concat!(
    r"^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])",
    r"(-([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5]))?$",
);

fn choice_list(choices: &Choices) -> Json {
    let choice = |(id, name): &(&str, &str)| {
        Json::Object(members([
            ("id", (*id).into()),
            ("name", (*name).into()),
            ("type", "text".into()),
            ("is_default", (choices.default == Some(*id)).into()),
        ]))
    };
    Json::List(choices.of.iter().map(choice).collect())
}

/// The columns of a bind row (`instances` 4.2).
fn bind_columns() -> Vec<Json> {
    let column = |id: &str, name: &str, kind: &str, option: Json, required: bool| {
        let row_id = id == "template_row_id";
        Json::Object(members([
            ("bk_property_id", id.into()),
            ("bk_property_name", name.into()),
            ("bk_property_group", "bind_info".into()),
            ("bk_property_type", kind.into()),
            ("option", option),
            ("isrequired", required.into()),
            ("editable", (!row_id).into()),
            ("isreadonly", false.into()),
            ("bk_issystem", false.into()),
            ("bk_isapi", row_id.into()),
            ("placeholder", "".into()),
            ("description", "".into()),
        ]))
    };
    vec![
        column("ip", "IP", "singlechar", BIND_IP.into(), false),
        column("port", "Port", "singlechar", BIND_PORT.into(), true),
        column("protocol", "Protocol", "enum", choice_list(&choices::PROTOCOL), true),
        column("enable", "Enable", "bool", Json::Null, true),
        column("template_row_id", "RowID", "int", Json::Null, false),
    ]
}

fn members<const N: usize>(members: [(&str, Json); N]) -> Object {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    fn search(filter: &str) -> Result<Vec<Object>, Vec<Fault>> {
        let filter = parse(filter.as_bytes(), Limits::default()).unwrap();
        search_attributes(filter.as_object().unwrap(), built_in_documents("2023-01-01 00:00:00"))
    }

    fn ids(filter: &str) -> Vec<String> {
        let id = |document: &Object| document.get("bk_property_id").and_then(Json::as_text).unwrap().to_owned();
        search(filter).unwrap().iter().map(id).collect()
    }

    #[test]
    fn one_document() {
        let set_env = search(r#"{"bk_obj_id":"set","bk_property_id":"bk_set_env"}"#).unwrap();
        assert_eq!(
            Json::Object(set_env[0].clone()).to_string(),
            concat!(
                r#"{"bk_biz_id":0,"id":17,"bk_supplier_account":"0","bk_obj_id":"set","bk_property_id":"bk_set_env","#,
                r#""bk_property_name":"环境类型","bk_property_group":"default","bk_property_group_name":"基础信息","#,
                r#""bk_property_index":0,"unit":"","placeholder":"","editable":true,"ispre":true,"isrequired":false,"#,
                r#""isreadonly":false,"isonly":false,"bk_issystem":false,"bk_isapi":false,"bk_property_type":"enum","#,
                r#""option":[{"id":"1","name":"测试","type":"text","is_default":false},"#,
                r#"{"id":"2","name":"体验","type":"text","is_default":false},"#,
                r#"{"id":"3","name":"正式","type":"text","is_default":true}],"default":null,"ismultiple":false,"#,
                r#""description":"","bk_template_id":0,"creator":"cc_system","create_time":"2023-01-01 00:00:00","#,
                r#""last_time":"2023-01-01 00:00:00"}"#,
            )
        );
    }

    /// topology 17: 44.
    #[test]
    fn the_attributes_of_processes() {
        let process = ids(r#"{"bk_obj_id":"process"}"#);
        assert_eq!(process[..4], ["bk_func_name", "bk_process_name", "bk_start_param_regex", "description"]);
        assert_eq!(process[4..7], ["work_path", "pid_file", "user"]);
        for hidden in ["bk_biz_id", "auto_start", "service_instance_id"] {
            assert!(!process.iter().any(|id| id == hidden), "{hidden}");
        }
        let bind_info = &search(r#"{"bk_obj_id":"process","bk_property_id":"bind_info"}"#).unwrap()[0];
        assert_eq!(bind_info.get("bk_property_type"), Some(&"table".into()));
        assert_eq!(bind_info.get("option").and_then(Json::as_list).unwrap().len(), 5);
    }

    #[test]
    fn the_body_is_a_filter() {
        let all = ids("{}").len();
        // topology 17: 43; clients call with the business whose private attributes they also want.
        assert_eq!(ids(r#"{"bk_supplier_account":"0"}"#).len(), all);
        assert_eq!(ids(r#"{"bk_biz_id":2}"#).len(), all);
        assert_eq!(ids(r#"{"bk_biz_id":0,"bk_obj_id":null}"#).len(), 0);
        assert_eq!(ids(r#"{"bk_supplier_account":"tencent"}"#).len(), 0);
        assert_eq!(ids(r#"{"bk_app_code":"x"}"#).len(), 0);
        assert_eq!(ids(r#"{"bk_obj_id":"module"}"#).len(), 8);
        assert_eq!(ids(r#"{"bk_obj_id":"plat"}"#).len(), 0);
        assert_eq!(ids(r#"{"bk_obj_id":"biz","isrequired":true}"#).len(), 4);
        assert_eq!(ids(r#"{"bk_obj_id":{"$in":["set"]},"bk_property_type":"int"}"#), ["bk_capacity"]);
        assert_eq!(ids(r#"{"bk_obj_id":"set","page":{"start":1,"limit":2}}"#), ["bk_set_desc", "bk_set_env"]);
        assert_eq!(ids(r#"{"bk_obj_id":"set","page":{"limit":1,"sort":"-bk_property_id"}}"#), ["description"]);
        let refused = |filter: &str| search(filter).unwrap_err()[0].path.to_string();
        assert_eq!(refused(r#"{"bk_biz_id":"2"}"#), "bk_biz_id");
        assert_eq!(refused(r#"{"page":{"limit":"2"}}"#), "page.limit");
        assert_eq!(refused(r#"{"page":{"limit":1001}}"#), "page.limit");
        assert_eq!(refused(r#"{"id":{"$near":2}}"#), "id.$near");
    }

    #[test]
    fn private_attributes_show_in_their_business_only() {
        let mut documents = built_in_documents("");
        let mut private = documents[0].clone();
        private.insert("bk_biz_id", Json::Int(7));
        private.insert("id", Json::Int(1000));
        documents.push(private);
        let found = |business: i64| {
            let filter = Object::from_iter([("bk_biz_id".to_owned(), Json::Int(business))]);
            let found = search_attributes(&filter, documents.clone()).unwrap();
            found.iter().any(|document| document.get("id") == Some(&Json::Int(1000)))
        };
        assert!(found(7) && !found(0) && !found(8));
    }

    #[test]
    fn the_patterns_for_forms_are_regular_expressions_that_let_good_values_through() {
        let matches = |pattern: &str, text: &str| regex::Regex::new(pattern).unwrap().is_match(text);
        assert!(matches(IPV4_LIST, "10.0.0.1,10.0.0.255") && !matches(IPV4_LIST, "256.1.1.1"));
        assert!(matches(IPV6_LIST, "::1,2001:db8::ffff:1.2.3.4,::") && !matches(IPV6_LIST, "10.0.0.1"));
        assert!(matches(BIND_IP, "0.0.0.0") && matches(BIND_IP, "fe80::1%eth0") && !matches(BIND_IP, "localhost"));
        assert!(matches(BIND_PORT, "8000-8100") && matches(BIND_PORT, "65535") && !matches(BIND_PORT, "65536"));
    }
}
