//! Service templates: what a service is called, what kind it is, and with `template_attribute` and process templates what belongs to
//! it (`templates` 5).

use crate::fault::{Cause, Fault, Reason};
use crate::id::{BusinessId, CategoryId, SUPPLIER_ACCOUNT, ServiceTemplateId};
use crate::json::{Json, JsonWriter, Limits, Schema, parse};
use crate::record;
use crate::service_category::{ServiceCategory, with_descendants};
use crate::topology::Birth;
use std::collections::HashSet;

/// A service template as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTemplate {
    pub id: ServiceTemplateId,
    pub business_id: BusinessId,
    pub name: String,
    pub category_id: CategoryId,
    /// The whole record, as the wire shows it: JSON text.
    pub document: String,
}

/// A service template as a caller wants it, its name checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub name: String,
    pub category_id: CategoryId,
    pub host_apply_enabled: bool,
}

impl Draft {
    /// The template in its business.
    pub fn place(&self, id: ServiceTemplateId, business_id: BusinessId, birth: &Birth<'_>) -> ServiceTemplate {
        let mut out = JsonWriter::with_capacity(320);
        out.raw("{\"bk_biz_id\":").int(business_id.get());
        out.raw(",\"id\":").int(id.get());
        out.raw(",\"name\":").text(&self.name);
        out.raw(",\"service_category_id\":").int(self.category_id.get());
        out.raw(",\"creator\":").text(birth.user).raw(",\"modifier\":").text(birth.user);
        out.raw(",\"create_time\":").text(birth.time).raw(",\"last_time\":").text(birth.time);
        out.raw(",\"bk_supplier_account\":").text(SUPPLIER_ACCOUNT);
        out.raw(",\"host_apply_enabled\":").raw(if self.host_apply_enabled { "true}" } else { "false}" });
        ServiceTemplate {
            id,
            business_id,
            name: self.name.clone(),
            category_id: self.category_id,
            document: out.finish(),
        }
    }
}

impl ServiceTemplate {
    /// The template with another name and category. `None` when its document cannot be read.
    pub fn changed(&self, name: &str, category_id: CategoryId, user: &str, time: &str) -> Option<Self> {
        let Ok(Json::Object(mut record)) = parse(self.document.as_bytes(), Limits::default()) else { return None };
        let changes = [
            ("name", name.into()),
            ("service_category_id", Json::Int(category_id.get())),
            ("modifier", user.into()),
            ("last_time", time.into()),
        ];
        record::put(&mut record, changes);
        let document = Json::Object(record).to_string();
        Some(Self { name: name.to_owned(), category_id, document, ..self.clone() })
    }

    /// The shape of a template.
    pub fn schema() -> Schema {
        Schema::object([
            ("bk_biz_id", Schema::Integer),
            ("id", Schema::Integer),
            ("name", Schema::Text),
            ("service_category_id", Schema::Integer),
            ("creator", Schema::Text),
            ("modifier", Schema::Text),
            ("create_time", Schema::Time),
            ("last_time", Schema::Time),
            ("bk_supplier_account", Schema::Text),
            ("host_apply_enabled", Schema::Boolean),
        ])
    }
}

/// A change that a caller wants of a template; what is `None` stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Checked, without the blanks around it.
    pub name: Result<Option<String>, Fault>,
    pub category_id: Option<CategoryId>,
}

impl Wish {
    /// Of what was sent: a name without a character and the category 0 stand for what there is.
    pub fn new(name: &str, category_id: i64) -> Self {
        let name = if name.is_empty() { Ok(None) } else { record::template_name(name, &"name".into()).map(Some) };
        Self { name, category_id: Some(CategoryId(category_id)).filter(|id| id.get() != 0) }
    }

    /// What it wants that the template has not got.
    #[must_use]
    pub fn without_what_is(self, template: &ServiceTemplate) -> Self {
        let name = self.name.map(|name| name.filter(|name| *name != template.name));
        Self { name, category_id: self.category_id.filter(|id| *id != template.category_id) }
    }
}

/// A template takes a leaf that is shared or of its business. `found` is the category asked for, as far as the caller may know of it.
/// One of another business is at fault by `other_business`, which differs between operations (`templates E14`).
pub fn check_category(
    asked: CategoryId,
    found: Option<&ServiceCategory>,
    has_children: bool,
    business: BusinessId,
    other_business: &'static str,
) -> Result<(), Fault> {
    const FIELD: &str = "service_category_id";
    let Some(category) = found else {
        return Err(Fault::absent(Cause::ParamInvalid, FIELD, asked));
    };
    if has_children {
        return Err(Fault::new(Cause::CategoryNotLeaf, FIELD).named(&category.name));
    }
    if !category.is_usable_by(business) {
        return Err(Fault::new(Cause::ParamInvalid, FIELD).named(other_business).because(Reason::OtherBusiness));
    }
    Ok(())
}

/// Which templates of a business a list is to show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Of this category or one below it.
    category_id: Option<CategoryId>,
    name: NameFilter,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum NameFilter {
    #[default]
    Any,
    Exactly(String),
    /// In lower case.
    Contains(String),
}

impl Filter {
    /// Of what was sent: 0 and "" leave it open.
    pub fn new(category_id: i64, search: &str, is_exact: bool) -> Self {
        let name = match search {
            "" => NameFilter::Any,
            name if is_exact => NameFilter::Exactly(name.to_owned()),
            text => NameFilter::Contains(text.to_lowercase()),
        };
        Self { category_id: Some(CategoryId(category_id)).filter(|id| id.get() > 0), name }
    }

    /// Whether it lets every template through.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// The category asked for.
    pub fn category_id(&self) -> Option<CategoryId> {
        self.category_id
    }

    /// The categories whose templates are wanted, out of those that the business may use.
    pub fn categories(&self, known: &[ServiceCategory]) -> Option<HashSet<CategoryId>> {
        self.category_id.map(|top| with_descendants(top, known))
    }

    /// Whether the name is one that is looked for.
    pub fn wants_name(&self, name: &str) -> bool {
        match &self.name {
            NameFilter::Any => true,
            NameFilter::Exactly(wanted) => name == wanted,
            NameFilter::Contains(part) => name.to_lowercase().contains(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIRTH: Birth<'static> = Birth { time: "T", user: "ann" };

    fn template() -> ServiceTemplate {
        let draft = Draft { name: "st".into(), category_id: CategoryId(2), host_apply_enabled: false };
        draft.place(ServiceTemplateId(52), BusinessId(1), &BIRTH)
    }

    #[test]
    fn a_template_reads_as_documented() {
        assert_eq!(
            template().document,
            concat!(
                r#"{"bk_biz_id":1,"id":52,"name":"st","service_category_id":2,"creator":"ann","modifier":"ann","create_time":"T","#,
                r#""last_time":"T","bk_supplier_account":"0","host_apply_enabled":false}"#
            )
        );
    }

    #[test]
    fn a_change_keeps_the_rest() {
        let changed = template().changed("new", CategoryId(4), "tom", "U").unwrap();
        let draft = Draft { name: "new".into(), category_id: CategoryId(4), host_apply_enabled: false };
        let want = draft.place(ServiceTemplateId(52), BusinessId(1), &BIRTH);
        let document = want.document.replace(r#""modifier":"ann""#, r#""modifier":"tom""#);
        let document = document.replace(r#""last_time":"T""#, r#""last_time":"U""#);
        assert_eq!(changed, ServiceTemplate { document, ..want });
    }

    #[test]
    fn names_of_templates() {
        let check = |name: &str, want: Option<&str>| {
            assert_eq!(record::template_name(name, &"name".into()).ok().as_deref(), want, "{name:?}");
        };
        check(" st ", Some("st")); // E12
        check("Web-服务_1.(a)", Some("Web-服务_1.(a)"));
        check(&"名".repeat(256), Some(&"名".repeat(256)));
        for bad in ["", "  ", "a/b", "a b", "a\tb", "#a", &"n".repeat(257)] {
            check(bad, None);
        }
        assert_eq!(Wish::new("", 0), Wish { name: Ok(None), category_id: None });
        assert!(Wish::new(" ", 0).name.is_err());
    }

    #[test]
    fn texts_are_looked_for_as_they_are() {
        let check = |search: &str, is_exact, name: &str, found| {
            assert_eq!(Filter::new(0, search, is_exact).wants_name(name), found, "{search} in {name}");
        };
        check("ST_T", false, "st_two", true);
        check("a+", false, "aa", false);
        check("a+", false, "xA+b", true);
        check(".*", false, "aa", false);
        check("st", true, "st", true);
        check("ST", true, "st", false);
        check("s", true, "st", false);
        assert!(Filter::new(0, "", true).is_open());
        assert!(!Filter::new(2, "", false).is_open());
    }
}
