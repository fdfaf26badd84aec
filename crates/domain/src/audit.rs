//! What a search of the audit asks for (`topology` 13.2): read once into a value that a statement can be made of.

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::json::{FieldPath, Json};
use crate::moment::{Moment, Zone};
use crate::query_filter::{MAX_RULES, MAX_VALUES};
use crate::wire_input;

/// The most entries of one answer.
pub const MAX_ENTRIES: usize = 200;

/// Where every entry comes from: what a caller asked for. Nothing is written on the store's own account.
pub const OPERATE_FROM: &str = "user";

/// The longest name of a record in an entry, in bytes.
const MAX_NAME: usize = 256;

wire_input! {
    /// Which entries of the audit are meant. All that is said has to hold.
    pub struct AuditConditionIn {
        /// Only of this business; 0: of every business whose audit the caller may see.
        pub business_id: i64 = "bk_biz_id",
        /// Only of this sort: `business`, `business_resource`, `host` and so on.
        pub audit_type: String = "audit_type",
        /// Only about records of this kind: `service_instance`, `host`, `module` and so on.
        pub resource_type: String = "resource_type",
        /// Only about the record with this id.
        pub resource_id: Json = "resource_id",
        /// Only these actions: `create`, `update`, `delete` and so on; empty: any.
        pub actions: Vec<String> = "action",
        /// Only what came from there: `user` is where everything comes from.
        pub operate_from: String = "operate_from",
        /// Only by this user.
        pub user: String = "user",
        /// Only about records of this name.
        pub resource_name: String = "resource_name",
        /// The name only has to contain `resource_name`, the case of ASCII letters not counting.
        pub fuzzy_query: bool = "fuzzy_query",
        /// Only of this time; one of its ends is needed.
        pub operation_time: PeriodIn = "operation_time",
        /// Only of the sorts in a category: `business`, `resource`, `host` or `other`.
        pub category: String = "category",
        /// Only about instances of this model; asks for the `resource_type` `model_instance` or `instance_association`.
        pub object_id: String = "bk_obj_id",
        /// Conditions on `user` and `resource_name`, in the place of these two.
        pub condition: Vec<AuditRuleIn> = "condition",
    }
}

wire_input! {
    /// A time with both of its ends, as texts such as `2026-11-21 10:00:00`. The second that `end` names belongs to it.
    pub struct PeriodIn {
        /// The beginning; empty: from ever.
        pub start: String = "start",
        /// The end; empty: until now.
        pub end: String = "end",
    }
}

wire_input! {
    /// A condition on one field of an entry.
    pub struct AuditRuleIn {
        /// `user` or `resource_name`.
        pub field: String = "field",
        /// `in` or `not_in`; of `resource_name` also `contains`, the case of ASCII letters not counting.
        pub operator: String = "operator",
        /// A list of texts, or the text to contain.
        pub value: Json = "value",
    }
}

/// Which entries are meant, whatever the business: those that meet every condition there is.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditSearch {
    /// The first and the last millisecond.
    pub period: (Moment, Moment),
    pub resource_type: Option<String>,
    pub resource_id: Option<i64>,
    /// One of these.
    pub audit_types: Option<Vec<String>>,
    /// One of these.
    pub actions: Option<Vec<String>>,
    pub rules: Vec<AuditRule>,
}

/// What a text of an entry must be.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRule {
    pub field: AuditText,
    pub test: AuditTest,
}

/// A text that rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditText {
    User,
    ResourceName,
}

/// A test of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum AuditTest {
    In(Vec<String>),
    NotIn(Vec<String>),
    /// ASCII letters in any case; the text is in small ones.
    Contains(String),
}

/// The sorts of entries in a category; none in one that there is not.
fn audit_types_of(category: &str) -> &'static [&'static str] {
    match category {
        "business" => &["business_resource", "dynamic_grouping"],
        "resource" => &["business", "biz_set", "model_instance", "cloud_resource"],
        "host" => &["host"],
        "other" => &["model", "association_kind", "event", "dynamic_grouping", "platform_setting"],
        _ => &[],
    }
}

/// The name of a record as its entry has it.
pub fn cut_name(name: &str) -> &str {
    let end = (0..=MAX_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or_default()]
}

/// No entry meets the condition.
struct NoEntry;

impl AuditConditionIn {
    /// Reads the condition, with times in `zone`. `None`: it contradicts itself, so that no entry meets it.
    pub fn read(&self, at: &FieldPath, zone: &Zone) -> Result<Option<AuditSearch>, Vec<Fault>> {
        let mut faults = Vec::new();
        let period = self.read_period(&at.field("operation_time"), zone, &mut faults);
        let rules = self.read_rules(at, &mut faults);
        let resource_id = self.read_resource_id(&at.field("resource_id"), &mut faults);
        if self.actions.len() > MAX_VALUES {
            faults.push(too_many(at.field("action"), MAX_VALUES));
        }
        // Instances of models other than those with records of their own are not there, and nothing is written about any.
        let about_models = !self.object_id.is_empty();
        if about_models && !matches!(self.resource_type.as_str(), "model_instance" | "instance_association") {
            let value = quoted(&self.resource_type);
            let reason = Reason::NoChoice { value, choices: "model_instance, instance_association" };
            faults.push(Fault::new(Cause::ParamInvalid, at.field("resource_type")).because(reason));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let other_origin = !matches!(self.operate_from.as_str(), "" | OPERATE_FROM);
        let (Ok(resource_id), Ok(audit_types), false) = (resource_id, self.audit_types(), about_models || other_origin)
        else {
            return Ok(None);
        };
        Ok(Some(AuditSearch {
            period,
            resource_type: some(&self.resource_type),
            resource_id,
            audit_types,
            actions: Some(self.actions.clone()).filter(|actions| !actions.is_empty()),
            rules,
        }))
    }

    fn read_period(&self, at: &FieldPath, zone: &Zone, faults: &mut Vec<Fault>) -> (Moment, Moment) {
        let PeriodIn { start, end } = &self.operation_time;
        if start.is_empty() && end.is_empty() {
            faults.push(Fault::new(Cause::NotSet, at.clone()).because(Reason::Blank));
        }
        let mut read = |text: &str, field: &str, otherwise: Moment| {
            if text.is_empty() {
                return otherwise;
            }
            zone.parse(text).unwrap_or_else(|| {
                let reason = Reason::TimeSyntax { value: quoted(text) };
                faults.push(Fault::new(Cause::ParamInvalid, at.field(field)).because(reason));
                otherwise
            })
        };
        let start = read(start, "start", Moment(i64::MIN));
        let mut end = read(end, "end", Moment(i64::MAX));
        // Entries are shown with their second, and who asks up to the second that an entry shows means that entry.
        if end.unix_ms() % 1000 == 0 {
            end = Moment(end.unix_ms().saturating_add(999));
        }
        (start, end)
    }

    fn read_rules(&self, at: &FieldPath, faults: &mut Vec<Fault>) -> Vec<AuditRule> {
        let plain = [("user", &self.user), ("resource_name", &self.resource_name)];
        let at = at.field("condition");
        if !self.condition.is_empty() {
            for (other, _) in plain.iter().filter(|(_, text)| !text.is_empty()) {
                faults.push(Fault::new(Cause::ParamInvalid, at.clone()).because(Reason::Exclusive { other }));
            }
            if self.condition.len() > MAX_RULES {
                faults.push(too_many(at, MAX_RULES));
                return Vec::new();
            }
            let rules = self.condition.iter().enumerate();
            return rules.filter_map(|(i, rule)| rule.read(&at.index(i), faults)).collect();
        }
        let mut rules = Vec::new();
        if !self.user.is_empty() {
            rules.push(AuditRule { field: AuditText::User, test: AuditTest::In(vec![self.user.clone()]) });
        }
        if !self.resource_name.is_empty() {
            let test = if self.fuzzy_query {
                AuditTest::Contains(self.resource_name.to_ascii_lowercase())
            } else {
                AuditTest::In(vec![self.resource_name.clone()])
            };
            rules.push(AuditRule { field: AuditText::ResourceName, test });
        }
        rules
    }

    /// The id asked for. Some of the records that the original knows have texts for ids; there are none of them here.
    fn read_resource_id(&self, at: &FieldPath, faults: &mut Vec<Fault>) -> Result<Option<i64>, NoEntry> {
        match &self.resource_id {
            Json::Null => Ok(None),
            Json::Int(id) => Ok(Some(*id)),
            Json::Text(_) => Err(NoEntry),
            _ => {
                faults.push(Fault::new(Cause::ParamInvalid, at.clone()).because(Reason::NeedsInteger));
                Err(NoEntry)
            }
        }
    }

    /// The sorts of entries, by sort and category.
    fn audit_types(&self) -> Result<Option<Vec<String>>, NoEntry> {
        let one = some(&self.audit_type);
        if self.category.is_empty() {
            return Ok(one.map(|one| vec![one]));
        }
        let all = audit_types_of(&self.category);
        match one {
            None if all.is_empty() => Err(NoEntry),
            None => Ok(Some(all.iter().map(|one| (*one).to_owned()).collect())),
            // The original makes an exception of hosts, which it once had among the resources.
            Some(one) if all.contains(&one.as_str()) || (one == "host" && self.category == "resource") => {
                Ok(Some(vec![one]))
            }
            Some(_) => Err(NoEntry),
        }
    }
}

impl AuditRuleIn {
    fn read(&self, at: &FieldPath, faults: &mut Vec<Fault>) -> Option<AuditRule> {
        let mut refuse = |field: &str, reason: Reason| {
            faults.push(Fault::new(Cause::ParamInvalid, at.field(field)).because(reason));
            None
        };
        let field = match self.field.as_str() {
            "user" => AuditText::User,
            "resource_name" => AuditText::ResourceName,
            other => return refuse("field", no_choice(other, "user, resource_name")),
        };
        let test = match (self.operator.as_str(), field) {
            ("in", _) => AuditTest::In(texts(&self.value, &at.field("value"), faults)?),
            ("not_in", _) => AuditTest::NotIn(texts(&self.value, &at.field("value"), faults)?),
            ("contains", AuditText::ResourceName) => match &self.value {
                Json::Text(part) if !part.is_empty() => AuditTest::Contains(part.to_ascii_lowercase()),
                Json::Text(_) => return refuse("value", Reason::Blank),
                _ => return refuse("value", Reason::NeedsText),
            },
            (other, AuditText::ResourceName) => return refuse("operator", no_choice(other, "in, not_in, contains")),
            (other, AuditText::User) => return refuse("operator", no_choice(other, "in, not_in")),
        };
        Some(AuditRule { field, test })
    }
}

/// A list of texts. An empty one is legal: nothing is in it.
fn texts(value: &Json, at: &FieldPath, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let Json::List(values) = value else {
        let reason = Reason::WrongType { want: "array", got: value.kind() };
        faults.push(Fault::new(Cause::ParamInvalid, at.clone()).because(reason));
        return None;
    };
    if values.len() > MAX_VALUES {
        faults.push(too_many(at.clone(), MAX_VALUES));
        return None;
    }
    let known = faults.len();
    for (i, _) in values.iter().enumerate().filter(|(_, value)| value.as_text().is_none()) {
        faults.push(Fault::new(Cause::ParamInvalid, at.index(i)).because(Reason::NeedsText));
    }
    let texts = values.iter().filter_map(Json::as_text).map(str::to_owned).collect();
    (faults.len() == known).then_some(texts)
}

fn too_many(at: FieldPath, max: usize) -> Fault {
    Fault::new(Cause::ParamInvalid, at).because(Reason::TooMany { max })
}

fn no_choice(value: &str, choices: &'static str) -> Reason {
    Reason::NoChoice { value: quoted(value), choices }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Decoder, Limits, parse};

    fn read(text: &str) -> Result<Option<AuditSearch>, Vec<String>> {
        let json = parse(text.as_bytes(), Limits::default()).unwrap();
        let condition: AuditConditionIn = Decoder::decode(json, false).unwrap();
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let read = condition.read(&FieldPath::of("condition"), &zone);
        read.map_err(|faults| faults.iter().map(|fault| fault.path.to_string()).collect())
    }

    /// With a time that is in order, and this besides.
    fn with(more: &str) -> Result<Option<AuditSearch>, Vec<String>> {
        read(&format!(r#"{{"operation_time":{{"start":"2026-11-21 10:00:00"}}{more}}}"#))
    }

    #[test]
    fn a_time_has_one_end_or_two() {
        let period = |start: &str, end: &str| {
            read(&format!(r#"{{"operation_time":{{"start":"{start}","end":"{end}"}}}}"#))
                .map(|search| search.map(|search| (search.period.0.0, search.period.1.0)).unwrap())
        };
        let ten = 1_795_226_400_000;
        assert_eq!(period("2026-11-21 10:00:00", ""), Ok((ten, i64::MAX)));
        assert_eq!(period("", "2026-11-21 10:00:00"), Ok((i64::MIN, ten + 999)));
        assert_eq!(period("", "2026-11-21T10:00:00.500+08:00"), Ok((i64::MIN, ten + 500)));
        assert_eq!(period("2026-11-21T02:00:00Z", "2026-11-21 10:00:01"), Ok((ten, ten + 1999)));
        let paths = |paths: &[&str]| Err(paths.iter().map(|path| format!("condition.operation_time{path}")).collect());
        assert_eq!(period("", ""), paths(&[""]));
        assert_eq!(period("noon", "tomorrow"), paths(&[".start", ".end"]));
    }

    #[test]
    fn sorts_and_categories() {
        let types = |more: &str| with(more).unwrap().map(|search| search.audit_types.unwrap_or_default().join(","));
        let check = |more: &str, want: Option<&str>| assert_eq!(types(more).as_deref(), want, "{more}");
        check("", Some(""));
        check(r#","audit_type":"host""#, Some("host"));
        check(r#","audit_type":"nothing""#, Some("nothing"));
        check(r#","category":"business""#, Some("business_resource,dynamic_grouping"));
        check(r#","category":"host","audit_type":"host""#, Some("host"));
        check(r#","category":"resource","audit_type":"host""#, Some("host"));
        check(r#","category":"resource","audit_type":"model""#, None);
        check(r#","category":"business","audit_type":"business""#, None);
        check(r#","category":"nothing""#, None);
    }

    #[test]
    fn what_no_entry_is() {
        for more in [
            r#","operate_from":"cc_system""#,
            r#","resource_id":"dynamic""#,
            r#","resource_type":"model_instance","bk_obj_id":"switch""#,
        ] {
            assert_eq!(with(more), Ok(None), "{more}");
        }
        assert!(with(r#","operate_from":"user""#).unwrap().is_some());
    }

    #[test]
    fn every_mistake_is_named() {
        let refused = |more: &str, paths: &[&str]| {
            let want: Vec<_> = paths.iter().map(|path| format!("condition.{path}")).collect();
            assert_eq!(with(more), Err(want), "{more}");
        };
        refused(r#","user":"a","condition":[{"field":"user","operator":"in","value":[]}]"#, &["condition"]);
        refused(r#","bk_obj_id":"host","resource_type":"host""#, &["resource_type"]);
        refused(r#","resource_id":[1]"#, &["resource_id"]);
        refused(
            r#","condition":[{"field":"id","operator":"in","value":[]},{"field":"user","operator":"contains","value":"a"},
            {"field":"resource_name","operator":"contains","value":""},{"field":"user","operator":"in","value":"a"},
            {"field":"user","operator":"not_in","value":["a",1,null]},{"field":"resource_name","operator":"equal","value":"a"}]"#,
            &[
                "condition[0].field",
                "condition[1].operator",
                "condition[2].value",
                "condition[3].value",
                "condition[4].value[1]",
                "condition[4].value[2]",
                "condition[5].operator",
            ],
        );
        let many = vec![r#"{"field":"user","operator":"in","value":[]}"#; MAX_RULES + 1].join(",");
        refused(&format!(r#","condition":[{many}]"#), &["condition"]);
        let many = vec!["\"a\""; MAX_VALUES + 1].join(",");
        refused(&format!(r#","action":[{many}]"#), &["action"]);
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(cut_name("web"), "web");
        assert_eq!(cut_name(&"a".repeat(300)).len(), 256);
        assert_eq!(cut_name(&format!("a{}", "名".repeat(100))).len(), 256);
        assert_eq!(cut_name(&"名".repeat(100)).len(), 255);
    }
}
