//! What a synchronization of modules with their service templates would do (`templates` 10): D1 over a module, D2 the instances of one
//! difference, D3 one instance in detail, D4 whether modules and templates need one.

use crate::listing::read_document;
use crate::operation::Serve;
use crate::request::{all_set, business_of, check_most};
use crate::{Context, OpError, Reply};
use rollcall_domain::bind_info::{HostAddresses, NO_ADDRESSES};
use rollcall_domain::difference::{ComparedProcess, Patterns, Standing, Tally, has_values};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ServiceInstanceId, ServiceTemplateId};
use rollcall_domain::json::{Json, JsonWriter, Object, Schema};
use rollcall_domain::model::{Model, catalogue};
use rollcall_domain::process::StoredProcess;
use rollcall_domain::process_template::ProcessTemplate;
use rollcall_domain::service_instance::generated_name;
use rollcall_domain::template_attribute::{TemplateAttribute, find_eligible};
use rollcall_domain::wire_input;
use rollcall_store::module::WholeModule;
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most modules or templates one call asks about.
const MAX_ASKED: usize = 100;
/// The most instances that one answer names.
const MAX_NAMED: usize = 500;

wire_input! {
    /// What the difference of a module takes.
    pub struct CompareModule {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The module.
        pub module_id: i64 = "bk_module_id",
        /// The service template that the module follows.
        pub template_id: i64 = "service_template_id",
    }
}

impl Serve for CompareModule {
    fn output() -> Schema {
        let named = || Schema::object([("name", Schema::Text), ("id", Schema::Integer)]).list().or_null();
        let attribute =
            Schema::object([("id", Schema::Integer), ("template_value", Schema::Any), ("inst_value", Schema::Any)]);
        Schema::object([
            ("changed", named()),
            ("added", named()),
            ("removed", named()),
            ("attributes", attribute.list()),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = Some(BusinessId(self.business_id)).filter(|id| id.get() > 0);
        let needed = [("bk_module_id", self.module_id != 0), ("service_template_id", self.template_id != 0)];
        let business = all_set(business, &needed)?;
        context.access.may_read(business)?;
        let module = find_module(tx, business, self.module_id)?;
        let module = module.filter(|module| module.row.service_template_id == self.template_id);
        let module = module.ok_or_else(|| Fault::absent(Cause::RelationUnreadable, "bk_module_id", self.module_id))?;
        let template = ServiceTemplateId(self.template_id);
        let templates = rollcall_store::process_template::list(tx, &[template])?;
        let attributes = rollcall_store::template_attribute::list_many(tx, business, &[template])?;
        let by_module = BTreeMap::from([(module.row.id, template)]);
        let by_template = BTreeMap::from([(template, Patterns::new(&templates))]);
        let tallies = compare(tx, business, &by_module, &by_template)?;
        let tally = tallies.get(&module.row.id).cloned().unwrap_or_default();

        let mut out = JsonWriter::with_capacity(512);
        out.raw("{");
        write_named(&mut out, "changed", tally.changed(&templates).map(named));
        write_named(&mut out, "added", tally.added(&templates).map(named));
        write_named(&mut out, "removed", tally.removed().map(|(name, id)| (name.to_owned(), id.get())));
        out.key("attributes").raw("[");
        let document = read_document(&module.document)?;
        for (_, held) in &attributes {
            out.separate().raw("{").key("id").int(held.attribute_id).key("template_value").value(&held.value);
            out.key("inst_value").value(value_in(&document, held).unwrap_or(&Json::Null)).raw("}");
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

fn named(template: &ProcessTemplate) -> (String, i64) {
    (template.property.keys().name, template.id.get())
}

fn write_named(out: &mut JsonWriter, field: &str, named: impl Iterator<Item = (String, i64)>) {
    out.key(field);
    let mut named = named.peekable();
    if named.peek().is_none() {
        out.raw("null");
        return;
    }
    out.raw("[");
    for (name, id) in named {
        out.separate().raw("{").key("name").text(&name).key("id").int(id).raw("}");
    }
    out.raw("]");
}

fn find_module(tx: &mut dyn Tx, business: BusinessId, id: i64) -> Result<Option<WholeModule>, StoreError> {
    let found = rollcall_store::module::list_whole(tx, &[ModuleId(id)])?;
    Ok(found.into_iter().find(|module| module.row.business_id == business))
}

/// The value that a module has for an attribute of its template.
fn value_in<'a>(document: &'a Object, held: &TemplateAttribute) -> Option<&'a Json> {
    document.get(find_eligible(Model::Module, held.attribute_id)?.id)
}

/// Looks at every process of modules once. The tallies are bounded by the templates, however many processes there are.
fn compare(
    tx: &mut dyn Tx,
    business: BusinessId,
    by_module: &BTreeMap<ModuleId, ServiceTemplateId>,
    by_template: &BTreeMap<ServiceTemplateId, Patterns<'_>>,
) -> Result<BTreeMap<ModuleId, Tally>, StoreError> {
    let modules: Vec<_> = by_module.keys().copied().collect();
    let mut tallies: BTreeMap<ModuleId, Tally> = modules.iter().map(|module| (*module, Tally::default())).collect();
    for (module, count) in rollcall_store::service_instance::count_bound(tx, business, &modules)? {
        tallies.entry(module).or_default().instances = count;
    }
    let mut hosts = HashMap::new();
    rollcall_store::host::each_of_modules(tx, business, &modules, &mut |module, host, addresses| {
        tallies.entry(module).or_default().hosts += 1;
        hosts.entry(host).or_insert(addresses);
    })?;
    rollcall_store::process::each_of_bound(tx, business, &modules, &mut |module, process| {
        let Some(patterns) = by_module.get(&module).and_then(|template| by_template.get(template)) else {
            return Ok(());
        };
        let standing = patterns.standing(process, &hosts).ok_or_else(|| unreadable(process))?;
        tallies.entry(module).or_default().see(process, standing);
        Ok(())
    })?;
    Ok(tallies)
}

fn unreadable(process: ComparedProcess<'_>) -> StoreError {
    StoreError::Unreadable(format!("process {:?} of template {}", process.name, process.process_template_id))
}

wire_input! {
    /// What the instances of a difference take.
    pub struct ListDifferentInstances {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The module.
        pub module_id: i64 = "bk_module_id",
        /// The service template that the module follows.
        pub template_id: i64 = "service_template_id",
        /// The process template whose processes differ; 0: processes whose template is gone.
        pub process_template_id: i64 = "process_template_id",
        /// The name of the processes whose template is gone.
        pub process_name: String = "process_template_name",
    }
}

/// Which difference of a module is meant.
struct Asked {
    module: WholeModule,
    templates: Vec<ProcessTemplate>,
    /// `None`: of processes whose template is gone.
    template: Option<usize>,
}

impl ListDifferentInstances {
    fn locate(&self, context: &Context, tx: &mut dyn Tx) -> Result<Asked, OpError> {
        let business = business_of(self.business_id)?;
        let zero = [("bk_module_id", self.module_id), ("service_template_id", self.template_id)];
        let zero = zero.iter().filter(|(_, id)| *id == 0);
        Failure::check(
            zero.map(|(field, _)| Fault::new(Cause::ParamInvalid, *field).because(Reason::Blank)).collect(),
        )?;
        context.access.may_read(business)?;
        let module = find_module(tx, business, self.module_id)?;
        let module = module.filter(|module| module.row.service_template_id == self.template_id);
        let module = module.ok_or_else(|| Fault::absent(Cause::ParamInvalid, "bk_module_id", self.module_id))?;
        let templates = rollcall_store::process_template::list(tx, &[ServiceTemplateId(self.template_id)])?;
        let template = match self.process_template_id {
            0 => None,
            id => {
                let place = templates.iter().position(|template| template.id.get() == id);
                Some(place.ok_or_else(|| Fault::absent(Cause::ParamInvalid, "process_template_id", id))?)
            }
        };
        Ok(Asked { module, templates, template })
    }
}

impl Serve for ListDifferentInstances {
    fn output() -> Schema {
        let instance = Schema::object([("id", Schema::Integer), ("name", Schema::Text)]);
        Schema::object([
            ("total_count", Schema::Text),
            ("service_instances", instance.list().or_null()),
            ("type", Schema::Text),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let asked = self.locate(context, tx)?;
        let (business, module) = (asked.module.row.business_id, asked.module.row.id);
        let mut hosts = HashMap::new();
        rollcall_store::host::each_of_modules(tx, business, &[module], &mut |_, host, addresses| {
            hosts.insert(host, addresses);
        })?;
        let patterns = Patterns::new(&asked.templates);
        let template = asked.template.map(|place| asked.templates[place].id);
        let (mut changed, mut have) = (HashSet::new(), HashSet::new());
        rollcall_store::process::each_of_bound_with_instance(tx, business, module, &mut |instance, process| {
            let is_asked = match template {
                Some(template) => process.process_template_id == template,
                None => process.name == self.process_name,
            };
            if is_asked {
                let standing = patterns.standing(process, &hosts).ok_or_else(|| unreadable(process))?;
                have.insert(instance);
                let differs = if template.is_some() { Standing::Changed } else { Standing::Removed };
                if standing == differs {
                    changed.insert(instance);
                }
            }
            Ok(())
        })?;
        let mut found: Vec<(i64, String)> = Vec::new();
        let mut with_instance = HashSet::new();
        for instance in rollcall_store::service_instance::list_bound(tx, business, module)? {
            with_instance.insert(instance.host_id);
            if changed.contains(&instance.id) || (template.is_some() && !have.contains(&instance.id)) {
                found.push((instance.id.get(), instance.name));
            }
        }
        if template.is_some() {
            let first = asked.templates.first().map(|template| template.property.fresh());
            let without: BTreeMap<HostId, &HostAddresses> =
                hosts.iter().filter(|(host, _)| !with_instance.contains(host)).map(|(id, host)| (*id, host)).collect();
            found.extend(without.values().map(|host| (0, generated_name(host, first.as_ref()))));
        }
        let kind = match (template, changed.is_empty(), found.is_empty()) {
            (_, _, true) => "",
            (None, ..) => "removed",
            (Some(_), false, _) => "changed",
            (Some(_), true, _) => "added",
        };
        let mut out = JsonWriter::with_capacity(64 + found.len().min(MAX_NAMED) * 64);
        out.raw("{").key("total_count");
        if found.len() > MAX_NAMED {
            out.text(&format!("{MAX_NAMED}+"));
        } else {
            out.text(&found.len().to_string());
        }
        out.key("service_instances");
        if found.is_empty() {
            out.raw("null");
        } else {
            out.raw("[");
            for (id, name) in found.iter().take(MAX_NAMED) {
                out.separate().raw("{").key("id").int(*id).key("name").text(name).raw("}");
            }
            out.raw("]");
        }
        out.key("type").text(kind).raw("}");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What the detail of a difference takes.
    pub struct CompareInstanceWire {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The module.
        pub module_id: i64 = "bk_module_id",
        /// The service template that the module follows.
        pub template_id: i64 = "service_template_id",
        /// The process template whose process differs; 0: a process whose template is gone.
        pub process_template_id: i64 = "process_template_id",
        /// The name of the process whose template is gone.
        pub process_name: String = "process_template_name",
        /// The service instance.
        pub instance_id: i64 = "service_instance_id",
    }
}

/// The detail of a difference in one instance.
#[derive(Debug)]
pub struct CompareInstance {
    asked: ListDifferentInstances,
    instance: ServiceInstanceId,
}

crate::operation::decode_through!(CompareInstance, CompareInstanceWire, |wire| Self {
    asked: ListDifferentInstances {
        business_id: wire.business_id,
        module_id: wire.module_id,
        template_id: wire.template_id,
        process_template_id: wire.process_template_id,
        process_name: wire.process_name,
    },
    instance: ServiceInstanceId(wire.instance_id),
});

impl Serve for CompareInstance {
    fn output() -> Schema {
        let attribute = Schema::object([
            ("id", Schema::Integer),
            ("property_id", Schema::Text),
            ("property_name", Schema::Text),
            ("property_value", Schema::Any),
            ("template_property_value", Schema::Any),
        ]);
        Schema::object([
            ("id", Schema::Integer),
            ("name", Schema::Text),
            ("type", Schema::Text),
            ("process", rollcall_domain::process::document_schema().or_null()),
            ("changed_attributes", attribute.list().or_null()),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let asked = self.asked.locate(context, tx)?;
        let (business, module) = (asked.module.row.business_id, asked.module.row.id);
        let absent = || Fault::absent(Cause::NotFound, "service_instance_id", self.instance.get());
        let instance = rollcall_store::service_instance::find(tx, business, self.instance)?;
        let instance = instance.filter(|instance| instance.module_id == module).ok_or_else(absent)?;
        let template = asked.template.map(|place| &asked.templates[place]);
        let known: HashSet<_> = asked.templates.iter().map(|template| template.id.get()).collect();
        let (mut found, mut unreadable) = (None, None);
        rollcall_store::process::each_of_instance(tx, business, self.instance, &mut |row| {
            let stored = StoredProcess::read(row.id, row.fixed_fields, row.extra_fields);
            let Some(stored) = stored else {
                unreadable = Some(row.id);
                return;
            };
            let is_asked = match template {
                Some(template) => row.process_template_id == template.id.get(),
                None => !known.contains(&row.process_template_id) && stored.keys.name == self.asked.process_name,
            };
            if is_asked {
                found = Some(stored);
            }
        })?;
        if let Some(id) = unreadable {
            return Err(StoreError::Unreadable(format!("process {id}")).into());
        }
        let host = rollcall_store::host::find_addresses(tx, instance.host_id)?;
        let host = host.as_ref().unwrap_or(&NO_ADDRESSES);
        let mut out = JsonWriter::with_capacity(1024);
        out.raw("{").key("id").int(self.instance.get()).key("name").text(&instance.name);
        let mut close = |kind: &str, process: &str, attributes: &str| {
            out.key("type").text(kind).key("process").raw(process).key("changed_attributes").raw(attributes).raw("}");
        };
        match (template, &found) {
            (Some(_), None) => close("added", "null", "null"),
            (None, None) => close("", "null", "null"),
            (None, Some(stored)) => close("removed", stored.document(), "null"),
            (Some(template), Some(stored)) => match attributes(template, stored, host) {
                None => close("", "null", "null"),
                Some(attributes) => close("changed", "null", &attributes),
            },
        }
        Ok(Reply(out.finish()))
    }
}

/// The differences of a process as the wire tells them; `None`: there are none.
fn attributes(template: &ProcessTemplate, stored: &StoredProcess, host: &HostAddresses) -> Option<String> {
    let differences = template.property.differences(stored, host);
    if differences.is_empty() {
        return None;
    }
    let mut out = JsonWriter::with_capacity(512);
    out.raw("[");
    for difference in differences {
        let mut attributes = catalogue().filter(|(_, model, _)| *model == Model::Process);
        let attribute = attributes.find(|(.., attribute)| attribute.id == difference.field);
        let (id, name) = attribute.map_or((0, difference.field), |(id, _, attribute)| (id, attribute.name));
        out.separate().raw("{").key("id").int(id).key("property_id").text(difference.field);
        out.key("property_name").text(name).key("property_value").value(&difference.is);
        out.key("template_property_value");
        match template.property.setting_json(difference.field) {
            Some(setting) => out.raw(&setting),
            None => out.value(&difference.becomes),
        };
        out.raw("}");
    }
    out.raw("]");
    Some(out.finish())
}

wire_input! {
    /// What the question takes whether modules or templates need a synchronization.
    pub struct ListNeeds {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The answer is about service templates, not about modules.
        pub is_partial: bool = "is_partial",
        /// 1 to 100 service templates, when it is about these.
        pub template_ids: Vec<i64> = "service_template_ids",
        /// 1 to 100 modules, when it is about these.
        pub module_ids: Vec<i64> = "bk_module_ids",
    }
}

impl Serve for ListNeeds {
    fn output() -> Schema {
        let need = |id| Schema::object([(id, Schema::Integer), ("need_sync", Schema::Boolean)]).list().or_null();
        Schema::object([("service_templates", need("service_template_id")), ("modules", need("bk_module_id"))])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.business_id <= 0 {
            let range = Reason::Range { min: 1, max: i64::MAX };
            return Err(Fault::new(Cause::ParamUnusable, "bk_biz_id").because(range).into());
        }
        let business = BusinessId(self.business_id);
        let (field, ids) = match self.is_partial {
            true => ("service_template_ids", &self.template_ids),
            false => ("bk_module_ids", &self.module_ids),
        };
        if ids.is_empty() {
            return Err(Fault::new(Cause::NotSet, field).because(Reason::Blank).into());
        }
        check_most(field, "compare with templates", ids.len(), MAX_ASKED)?;
        context.access.may_read(business)?;
        let modules = if self.is_partial {
            let templates: Vec<_> = ids.iter().copied().map(ServiceTemplateId).collect();
            rollcall_store::module::list_of_templates(tx, business, &templates)?
        } else {
            let modules: Vec<_> = ids.iter().copied().map(ModuleId).collect();
            rollcall_store::module::list_whole(tx, &modules)?
        };
        let modules: Vec<_> = modules
            .into_iter()
            .filter(|module| module.row.business_id == business && module.row.service_template_id != 0)
            .collect();
        let needs = needs(tx, business, &modules)?;
        let mut out = JsonWriter::with_capacity(64 + modules.len() * 48);
        let (mut by_template, mut by_module) = (BTreeMap::<i64, bool>::new(), BTreeMap::<i64, bool>::new());
        for module in &modules {
            let need = needs.contains(&module.row.id);
            *by_template.entry(module.row.service_template_id).or_default() |= need;
            by_module.insert(module.row.id.get(), need);
        }
        let write = |out: &mut JsonWriter, id_field: &str, needs: &BTreeMap<i64, bool>| {
            out.raw("[");
            for (id, need) in needs {
                out.separate().raw("{").key(id_field).int(*id).key("need_sync").value(&Json::Bool(*need)).raw("}");
            }
            out.raw("]");
        };
        out.raw("{").key("service_templates");
        if self.is_partial {
            write(&mut out, "service_template_id", &by_template);
            out.key("modules").raw("null}");
        } else {
            out.raw("null").key("modules");
            write(&mut out, "bk_module_id", &by_module);
            out.raw("}");
        }
        Ok(Reply(out.finish()))
    }
}

/// Which of these modules, each following a template, a synchronization would change.
pub(crate) fn needs(
    tx: &mut dyn Tx,
    business: BusinessId,
    modules: &[WholeModule],
) -> Result<HashSet<ModuleId>, OpError> {
    let by_module: BTreeMap<_, _> =
        modules.iter().map(|module| (module.row.id, ServiceTemplateId(module.row.service_template_id))).collect();
    let ids: BTreeSet<_> = by_module.values().copied().collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let all: Vec<_> = ids.iter().map(|id| id.get()).collect();
    let services = rollcall_store::service_template::list(tx, business, Some(&all))?;
    let names: HashMap<_, _> = services.iter().map(|template| (template.id, template.name.as_str())).collect();
    let mut templates: HashMap<ServiceTemplateId, Vec<ProcessTemplate>> = HashMap::new();
    for template in rollcall_store::process_template::list(tx, &ids)? {
        templates.entry(template.service_template_id).or_default().push(template);
    }
    let mut attributes: HashMap<ServiceTemplateId, Vec<TemplateAttribute>> = HashMap::new();
    for (template, held) in rollcall_store::template_attribute::list_many(tx, business, &ids)? {
        attributes.entry(template).or_default().push(held);
    }
    let of = |template: &ServiceTemplateId| templates.get(template).map_or(&[][..], Vec::as_slice);
    let by_template: BTreeMap<_, _> = ids.iter().map(|template| (*template, Patterns::new(of(template)))).collect();
    let tallies = compare(tx, business, &by_module, &by_template)?;
    let mut needs = HashSet::new();
    for module in modules {
        let template = by_module[&module.row.id];
        let document = read_document(&module.document)?;
        let attributes = attributes.get(&template).map_or(&[][..], Vec::as_slice);
        let is_clean = names.get(&template).is_none_or(|name| *name == module.row.name)
            && has_values(attributes, |held| value_in(&document, held))
            && tallies.get(&module.row.id).is_none_or(|tally| tally.is_clean(of(&template)));
        if !is_clean {
            needs.insert(module.row.id);
        }
    }
    Ok(needs)
}
