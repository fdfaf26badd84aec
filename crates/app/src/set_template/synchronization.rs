//! The synchronization of sets with their templates (`templates` 13, T13): asked for here, done as jobs. The first part of a job gives the
//! set the values that its template fixes, each other one does what the difference says of one module. A part decides anew and does
//! nothing but what was asked for: what is not the case any more is left.

use super::difference::{compare, find_sets};
use crate::access::{Granted, right};
use crate::job::{self, Target};
use crate::journal::{Change, Journal};
use crate::listing::read_document;
use crate::module::{Changing, change, create_following, plan_following, remove};
use crate::operation::Serve;
use crate::preview::Changes;
use crate::request::{business_of, check_count};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault};
use rollcall_domain::id::{BusinessId, ModuleId, ServiceTemplateId, SetId, SetTemplateId};
use rollcall_domain::job::JobKind;
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Object, Schema};
use rollcall_domain::set_template::{ModuleDifference, SetDifference, Step};
use rollcall_domain::{module, record, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::job::Job;
use rollcall_store::module::WholeModule;
use rollcall_store::set::WholeSet;
use rollcall_store::set_template as store;
use rollcall_store::{StoreError, Tx};
use std::collections::{HashMap, HashSet};

/// The most sets one call names.
const MAX_SETS: usize = 500;

wire_input! {
    /// What a synchronization of sets with their set template takes.
    pub struct SynchronizeSets {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The template that the sets follow.
        pub template_id: i64 = "set_template_id",
        /// 1 to 500 sets.
        pub set_ids: Vec<i64> = "bk_set_ids",
    }
}

wire_input! {
    /// The module that a part of a job is about.
    pub struct PartModule {
        /// 0: one that is to come.
        pub id: i64 = "bk_module_id",
        /// Its service template.
        pub service_template_id: i64 = "service_template_id",
        /// What is to be done.
        pub step: String = "diff_type",
    }
}

wire_input! {
    /// What a part of a job is about.
    pub struct PartContent {
        /// The set itself is to get the values of its attributes.
        pub is_set: bool = "is_sync_set",
        /// The module.
        pub module: Option<PartModule> = "module_diff",
    }
}

/// What the parts of a set's job are about, as readers of the job see it too: JSON texts.
fn parts_of(set: &WholeSet, difference: &SetDifference) -> Vec<String> {
    let part = |is_set: bool, module: &ModuleDifference| {
        let mut out = JsonWriter::with_capacity(256);
        out.raw("{").key("is_sync_set").value(&Json::Bool(is_set));
        out.key("set").raw("{").key("bk_set_id").int(set.row.id.get()).key("bk_set_name").text(&set.row.name).raw("}");
        module.write(out.key("module_diff"));
        out.raw("}");
        out.finish()
    };
    // Readers look for a module in each part.
    let none = ModuleDifference {
        step: Step::Keep,
        module_id: None,
        module_name: String::new(),
        service_template_id: 0,
        service_template_name: String::new(),
    };
    let modules = difference.modules.iter().map(|module| part(false, module));
    std::iter::once(part(true, &none)).chain(modules).collect()
}

impl SynchronizeSets {
    /// The sets, and where each is named first. All must follow the template (`templates E90`).
    fn find(&self, tx: &mut dyn Tx, business: BusinessId) -> Result<Vec<(WholeSet, FieldPath)>, OpError> {
        let mut seen = HashSet::new();
        let named = self.set_ids.iter().enumerate().filter(|(_, id)| seen.insert(**id));
        let places: HashMap<_, _> = named.map(|(i, id)| (SetId(*id), FieldPath::of("bk_set_ids").index(i))).collect();
        let sets = find_sets(tx, business, self.template_id, &self.set_ids)?;
        let found: HashSet<_> = sets.iter().map(|set| set.row.id).collect();
        let mut others: Vec<_> = places.iter().filter(|(id, _)| !found.contains(*id)).collect();
        others.sort_unstable_by_key(|(id, _)| **id);
        let absent = |(id, at): (&SetId, &FieldPath)| Fault::absent(Cause::SetUnreadable, at.clone(), id);
        Failure::check(others.into_iter().map(absent).collect())?;
        let with_place = |set: WholeSet| {
            let at = places.get(&set.row.id).cloned().unwrap_or_else(FieldPath::root);
            (set, at)
        };
        Ok(sets.into_iter().map(with_place).collect())
    }

    fn submit(
        &self,
        context: &Context,
        tx: &mut dyn Tx,
        business: BusinessId,
        sets: Vec<(WholeSet, FieldPath)>,
    ) -> Result<Reply, OpError> {
        let (sets, places): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
        let differences = compare(tx, business, &sets)?;
        let targets = sets.iter().zip(&differences).zip(places);
        let targets = targets.map(|((set, difference), at)| Target {
            id: set.row.id.get(),
            at,
            parts: parts_of(set, difference),
        });
        let mut journal = Journal::default();
        let about = (business, self.template_id);
        job::submit(context, tx, JobKind::SetTemplate, about, targets.collect(), &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }

    /// What the jobs would do now, told without locks and without writing. Refused with what would be in the way.
    fn preview(
        &self,
        context: &Context,
        tx: &mut dyn Tx,
        business: BusinessId,
        sets: Vec<(WholeSet, FieldPath)>,
    ) -> Result<Reply, OpError> {
        job::check_none_under_way(tx, JobKind::SetTemplate, sets.iter().map(|(set, at)| (set.row.id.get(), at)))?;
        let (sets, places): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
        let differences = compare(tx, business, &sets)?;
        let steps = || differences.iter().flat_map(|difference| &difference.modules);
        let removed: Vec<_> = differences.iter().flat_map(SetDifference::removed).map(ModuleId::get).collect();
        let hosts = rollcall_store::host::count_in_modules(tx, business, &removed)?;
        let mut in_the_way = Vec::new();
        for (difference, at) in differences.iter().zip(&places) {
            let steps = difference.modules.iter().filter(|module| module.step == Step::Remove);
            let with_hosts = steps.filter(|module| module.module_id.is_some_and(|id| hosts.contains_key(&id)));
            in_the_way.extend(with_hosts.map(|it| Fault::new(Cause::HasHosts, at.clone()).named(&it.module_name)));
        }
        Failure::check(in_the_way)?;
        let changed: Vec<_> = steps().filter(|it| it.step != Step::Keep).filter_map(|it| it.module_id).collect();
        let modules = rollcall_store::module::list_whole(tx, &changed)?;
        let modules: HashMap<_, _> = modules.into_iter().map(|module| (module.row.id, module)).collect();
        let added: HashSet<_> = steps().filter(|it| it.step == Step::Add).map(|it| it.service_template_id).collect();
        let services =
            rollcall_store::service_template::list(tx, business, Some(&added.into_iter().collect::<Vec<_>>()))?;
        let mut planned: HashMap<i64, _> = HashMap::new();
        let no_set = (SetId(0), SetTemplateId(self.template_id));
        for module in plan_following(context, tx, business, no_set, &services, 1..)? {
            planned.insert(module.service_template_id, module.document);
        }
        let mut changes = Changes::new(context);
        // Records that would be made have provisional ids below zero.
        let mut made = 0;
        for (set, difference) in sets.iter().zip(&differences) {
            if let Some((document, _)) = with_values(context, set, difference)? {
                let states = (Some(set.document.as_str()), Some(document.as_str()));
                changes.push(EventKind::Set, business, set.row.id.get(), states)?;
            }
            for step in &difference.modules {
                let stored = step.module_id.and_then(|id| modules.get(&id));
                match (step.step, stored) {
                    (Step::Remove, Some(module)) => {
                        let states = (Some(module.document.as_str()), None);
                        changes.push(EventKind::Module, business, module.row.id.get(), states)?;
                    }
                    (Step::Rename, Some(module)) => {
                        let after = Json::Object(renaming(module.clone(), &step.service_template_name)?.after);
                        let after = after.to_string();
                        let states = (Some(module.document.as_str()), Some(after.as_str()));
                        changes.push(EventKind::Module, business, module.row.id.get(), states)?;
                    }
                    (Step::Add, _) => {
                        made += 1;
                        if let Some(document) = planned.get(&step.service_template_id) {
                            let document = placed(document, -made, set.row.id)?;
                            changes.push(EventKind::Module, business, -made, (None, Some(&document)))?;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(changes.finish())
    }
}

/// A planned module in its set.
fn placed(document: &str, id: i64, set: SetId) -> Result<String, StoreError> {
    let mut record = read_document(document)?;
    let set = Json::Int(set.get());
    record::put(&mut record, [("bk_module_id", Json::Int(id)), ("bk_set_id", set.clone()), ("bk_parent_id", set)]);
    Ok(Json::Object(record).to_string())
}

impl Serve for SynchronizeSets {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        // A caller without the right learns nothing, not even what is wrong with the request.
        context.access.require::<right::EditTopology>(business)?;
        check_count("bk_set_ids", "synchronize sets", self.set_ids.len(), MAX_SETS, Cause::NotSet)?;
        if context.preview.is_some() {
            let sets = self.find(tx, business)?;
            return self.preview(context, tx, business, sets);
        }
        store::lock_shared(tx, SetTemplateId(self.template_id))?;
        let sets = self.find(tx, business)?;
        self.submit(context, tx, business, sets)
    }
}

/// Does one part of a job in its transaction.
pub(crate) fn do_part(context: &Context, tx: &mut dyn Tx, job: &Job, content: &str) -> Result<(), OpError> {
    let content = job::read_content::<PartContent>(content)?;
    let granted = context.access.require::<right::EditTopology>(job.business_id)?;
    let template = SetTemplateId(job.template_id);
    store::lock_shared(tx, template)?;
    let asked = content.module.filter(|_| !content.is_set);
    let service = match &asked {
        Some(module) => {
            rollcall_store::service_template::lock_shared(tx, ServiceTemplateId(module.service_template_id))?
        }
        None => None,
    };
    let set = rollcall_store::set::lock(tx, SetId(job.target_id))?;
    let set = set.filter(|set| set.row.business_id == job.business_id && set.row.set_template_id == template.get());
    let set = set.ok_or_else(|| Fault::absent(Cause::NotFound, "bk_set_id", job.target_id))?;
    let difference = compare(tx, job.business_id, std::slice::from_ref(&set))?.pop().unwrap_or_default();
    let mut journal = Journal::default();
    match asked {
        None => follow_attributes(&granted, context, tx, &set, &difference, &mut journal)?,
        Some(asked) => {
            let is_it = |step: &&ModuleDifference| {
                step.module_id.map_or(0, ModuleId::get) == asked.id
                    && step.service_template_id == asked.service_template_id
                    && step.step.wire() == asked.step
            };
            // What has become otherwise since then waits for another synchronization.
            if let Some(step) = difference.modules.iter().find(is_it) {
                match (step.step, step.module_id, service) {
                    // Modules with hosts stay (`templates E89`).
                    (Step::Remove, Some(id), _) => {
                        let module = lock_module(tx, id)?;
                        remove(&granted, tx, &[module], &mut journal)?;
                    }
                    (Step::Rename, Some(id), _) => {
                        let renaming = renaming(lock_module(tx, id)?, &step.service_template_name)?;
                        change(&granted, context, tx, vec![renaming], &mut journal)?;
                    }
                    (Step::Add, _, Some(service)) => {
                        let of = (set.row.id, template);
                        create_following(&granted, context, tx, of, std::slice::from_ref(&service), &mut journal)?;
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(journal.write(context, tx)?)
}

/// The document of a set with the values that its template fixes, and those it did not have, both as JSON text; `None`: it has all.
fn with_values(
    context: &Context,
    set: &WholeSet,
    difference: &SetDifference,
) -> Result<Option<(String, String)>, StoreError> {
    let values: Object = difference.unequal().map(|it| (it.field.to_owned(), it.wanted.clone())).collect();
    if values.is_empty() {
        return Ok(None);
    }
    let record = read_document(&set.document)?;
    let document = record::changed_document(record, &values, &context.caller.user, &context.time_text());
    Ok(Some((document, Json::Object(values).to_string())))
}

/// Gives a set, which is locked, the values that its template fixes.
fn follow_attributes(
    granted: &Granted<right::EditTopology>,
    context: &Context,
    tx: &mut dyn Tx,
    set: &WholeSet,
    difference: &SetDifference,
    journal: &mut Journal,
) -> Result<(), OpError> {
    let Some((document, fields)) = with_values(context, set, difference)? else { return Ok(()) };
    rollcall_store::set::update(tx, set.row.id, &document)?;
    journal.changed(Change {
        kind: EventKind::Set,
        business_id: granted.business(),
        id: set.row.id.get(),
        name: &set.row.name,
        before: Some(&set.document),
        after: Some(&document),
        update_fields: Some(&fields),
    });
    Ok(())
}

/// A module of a set, which is locked, kept as it is until it is changed.
fn lock_module(tx: &mut dyn Tx, id: ModuleId) -> Result<WholeModule, OpError> {
    let module = rollcall_store::module::lock(tx, id)?;
    Ok(module.ok_or_else(|| Fault::absent(Cause::ModuleUnreadable, "bk_module_id", id))?)
}

/// A module before and with the name of its service template.
fn renaming(module: WholeModule, name: &str) -> Result<Changing, StoreError> {
    let before = read_document(&module.document)?;
    Ok(Changing { after: module::renamed(&before, name), before, module })
}
