//! What a synchronization does to made-up modules, and that the difference of a module tells just that (`templates` 10.3 and 11).

use super::*;
use crate::difference::{ComparedProcess, Patterns, Standing, Tally};
use crate::id::{BusinessId, ServiceTemplateId};
use crate::process_template::Property;
use crate::process_template::made_up::{
    STAMP, any_host, changed_to, create, edit_on, field, has_what_is_locked, place, property_of, request, stored, tree,
    unlocked, with_rows,
};
use crate::topology::Birth;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

/// A module that follows a template, with what a synchronization looks at.
#[derive(Debug, Clone, PartialEq)]
struct Module {
    templates: Vec<ProcessTemplate>,
    hosts: HashMap<HostId, HostAddresses>,
    instances: BTreeMap<ServiceInstanceId, Instance>,
}

#[derive(Debug, Clone, PartialEq)]
struct Instance {
    host_id: HostId,
    processes: Vec<Held>,
}

#[derive(Debug, Clone, PartialEq)]
struct Held {
    template_id: ProcessTemplateId,
    process: NewProcess,
}

/// What became of a process template after processes were made from it.
#[derive(Debug, Clone)]
enum Fate {
    Stays,
    Changes(Box<Property>),
    /// Its processes still name it, or name none any more.
    Goes(bool),
}

/// A host that was in the module when the processes were made.
#[derive(Debug, Clone)]
struct MadeHost {
    before: HostAddresses,
    moved: Option<HostAddresses>,
    has_left: bool,
    has_instance: bool,
    /// The rows of its processes stand the other way round.
    is_turned: bool,
    /// For each template whether the instance lacks its process, and which requests have changed that.
    processes: Vec<(bool, Vec<usize>)>,
}

const MOST_TEMPLATES: usize = 4;
const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f"];
/// Few, so that processes are told apart by their start parameters.
const FUNCS: &[&str] = &["f", "f", "f", "g"];

/// The unique rules of an instance, and of the templates of a service template.
fn are_unique<'a>(keys: impl IntoIterator<Item = &'a ProcessKeys>) -> bool {
    let (mut names, mut pairs) = (HashSet::new(), HashSet::new());
    let mut is_new = |keys: &'a ProcessKeys| {
        let pair = keys.start_param.as_ref().map(|param| (&keys.func_name, param));
        names.insert(&keys.name) && pair.is_none_or(|pair| pairs.insert(pair))
    };
    keys.into_iter().all(&mut is_new)
}

fn template(id: i64, property: Property) -> ProcessTemplate {
    let owner = (BusinessId(3), ServiceTemplateId(1));
    ProcessTemplate::place(ProcessTemplateId(id), owner, property, &Birth { time: "once", user: "ops" })
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Stays),
        3 => property_of(NAMES, FUNCS).prop_map(|property| Fate::Changes(Box::new(property))),
        1 => any::<bool>().prop_map(Fate::Goes),
    ]
}

prop_compose! {
    fn made_host(leaves: f64)(
        before in any_host(),
        moved in prop::option::weighted(0.3, any_host()),
        has_left in prop::bool::weighted(leaves),
        has_instance in prop::bool::weighted(0.9),
        is_turned in any::<bool>(),
        processes in prop::collection::vec(
            (prop::bool::weighted(0.1), prop::sample::subsequence(vec![0, 1], 0..=2)), MOST_TEMPLATES
        ),
    ) -> MadeHost {
        MadeHost { before, moved, has_left, has_instance, is_turned, processes }
    }
}

prop_compose! {
    /// A module, as a store has them but that hosts may have left. In a calm one nothing happened since but updates of processes.
    fn module(leaves: f64)(
        is_calm in prop::bool::weighted(0.3),
        templates in prop::collection::vec((property_of(NAMES, FUNCS), fate()), 0..=MOST_TEMPLATES),
        new in prop::option::weighted(0.4, property_of(NAMES, FUNCS)),
        requests in prop::collection::vec(request(), 2),
        mut hosts in prop::collection::vec(made_host(leaves), 0..=3),
    ) -> Module {
        let mut before: Vec<(Property, Fate)> = Vec::new();
        for (property, fate) in templates {
            let keys: Vec<_> = before.iter().map(|(other, _)| other.keys()).chain([property.keys()]).collect();
            if are_unique(&keys) {
                before.push((property, if is_calm { Fate::Stays } else { fate }));
            }
        }
        for host in hosts.iter_mut().filter(|_| is_calm) {
            (host.moved, host.has_instance) = (None, true);
            host.processes.iter_mut().for_each(|(lacks, _)| *lacks = false);
        }
        let now = templates_now(&before, new.filter(|_| !is_calm));
        let mut module = Module { templates: now, hosts: HashMap::new(), instances: BTreeMap::new() };
        for (host_id, host) in (101..).map(HostId).zip(&hosts) {
            module.populate(host_id, host, &before, &requests);
        }
        module
    }
}

/// What became of the templates. One that clashes with those before it is gone.
fn templates_now(before: &[(Property, Fate)], new: Option<Property>) -> Vec<ProcessTemplate> {
    let mut now: Vec<ProcessTemplate> = Vec::new();
    let changed = before.iter().map(|(property, fate)| match fate {
        Fate::Stays => Some(property.clone()),
        Fate::Changes(other) => Some(changed_to(property, other)),
        Fate::Goes(_) => None,
    });
    for (id, property) in (1..).zip(changed.chain([new])) {
        let Some(property) = property else { continue };
        let keys: Vec<_> = now.iter().map(|other| other.property.keys()).chain([property.keys()]).collect();
        if are_unique(&keys) {
            now.push(template(id, property));
        }
    }
    now
}

impl Module {
    /// A host with its instance, if that gets any process.
    fn populate(&mut self, host_id: HostId, host: &MadeHost, before: &[(Property, Fate)], requests: &[String]) {
        let id = ServiceInstanceId(host_id.get() - 90);
        let mut processes: Vec<Held> = Vec::new();
        for (place_of, ((property, fate), (lacks, edits))) in (1..).zip(before.iter().zip(&host.processes)) {
            let is_free = |process: &NewProcess| {
                are_unique(processes.iter().map(|held| &held.process.keys).chain([&process.keys]))
            };
            let process_id = ProcessId(id.get() * 10 + place_of);
            let mut process = place(property, process_id, (id, host_id), &host.before);
            for request in edits {
                let edited = edit_on(property, &stored(&process), &requests[*request], &host.before).unwrap();
                if is_free(&edited) {
                    process = edited;
                }
            }
            if host.is_turned {
                process = with_rows(&stored(&process), |rows| rows.reverse());
            }
            if !*lacks && is_free(&process) {
                let is_forgotten = matches!(fate, Fate::Goes(true));
                let template_id = ProcessTemplateId(if is_forgotten { 0 } else { place_of });
                processes.push(Held { template_id, process });
            }
        }
        if host.has_instance && !processes.is_empty() {
            self.instances.insert(id, Instance { host_id, processes });
        }
        if !host.has_left {
            self.hosts.insert(host_id, host.moved.as_ref().unwrap_or(&host.before).clone());
        }
    }

    fn host(&self, id: HostId) -> &HostAddresses {
        self.hosts.get(&id).unwrap_or(&NO_ADDRESSES)
    }

    fn template(&self, id: ProcessTemplateId) -> Option<&ProcessTemplate> {
        self.templates.iter().find(|template| template.id == id)
    }

    /// Every process with its instance.
    fn processes(&self) -> impl Iterator<Item = (ServiceInstanceId, HostId, &Held)> {
        let of = |(id, instance): (&ServiceInstanceId, _)| (*id, instance);
        self.instances.iter().map(of).flat_map(|(id, instance): (_, &Instance)| {
            instance.processes.iter().map(move |held| (id, instance.host_id, held))
        })
    }

    fn plan(&self) -> Plan {
        let instances = self.instances.iter().map(|(id, instance)| (*id, instance.host_id));
        let mut planner = Planner::new(&self.templates, instances, &self.hosts, STAMP);
        for (service_instance_id, _, held) in self.processes() {
            let seen = planner.see(FoundProcess {
                id: held.process.id,
                service_instance_id,
                process_template_id: held.template_id,
                fixed_fields: &held.process.fixed_fields,
                extra_fields: &held.process.extra_fields,
            });
            assert_eq!(seen, Some(()));
        }
        planner.finish()
    }

    /// What the difference says of each process.
    fn standings(&self) -> Vec<(ComparedProcess<'_>, Standing, ProcessId, ServiceInstanceId)> {
        let patterns = Patterns::new(&self.templates);
        let all = self.processes().map(|(instance, host_id, held)| {
            let compared = ComparedProcess {
                process_template_id: held.template_id,
                host_id,
                name: &held.process.keys.name,
                fixed_fields: &held.process.fixed_fields,
            };
            let standing = patterns.standing(compared, &self.hosts).unwrap();
            (compared, standing, held.process.id, instance)
        });
        all.collect()
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        (tally.instances, tally.hosts) = (self.instances.len(), self.hosts.len());
        for (compared, standing, ..) in self.standings() {
            tally.see(compared, standing);
        }
        tally
    }

    /// What would clash if the plan was carried out.
    fn clashes(&self, plan: &Plan) -> Vec<Fault> {
        let asked = plan.with_other_keys();
        let held = self.processes().filter(|(id, ..)| asked.contains(id));
        plan.find_clashes(&self.templates, held.map(|(id, _, held)| (id, held.process.id, held.process.keys.clone())))
    }

    /// The module when the plan was carried out.
    fn after(&self, plan: &Plan) -> Self {
        let mut after = self.clone();
        let mut new_ids = (1000..).map(ProcessId);
        let mut made = |instance, host_id, places: &[usize]| {
            let templates = places.iter().map(|place| &self.templates[*place]);
            let made = templates.zip(&mut new_ids).map(|(template, id)| Held {
                template_id: template.id,
                process: place(&template.property, id, (instance, host_id), self.host(host_id)),
            });
            made.collect::<Vec<_>>()
        };
        after.instances.retain(|id, _| !plan.ended.contains(id));
        for plan in &plan.instances {
            let instance = after.instances.get_mut(&plan.id).unwrap();
            assert_eq!(instance.host_id, plan.host_id);
            instance.processes.retain(|held| plan.gone.iter().all(|gone| gone.id != held.process.id));
            for changed in &plan.changed {
                let mut processes = instance.processes.iter_mut();
                processes.find(|held| held.process.id == changed.id).unwrap().process = changed.after.clone();
            }
            instance.processes.extend(made(plan.id, plan.host_id, &plan.missing));
        }
        let all: Vec<_> = (0..self.templates.len()).collect();
        for (id, host_id) in (1000..).map(ServiceInstanceId).zip(&plan.new_hosts) {
            after.instances.insert(id, Instance { host_id: *host_id, processes: made(id, *host_id, &all) });
        }
        after
    }
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.new_hosts.is_empty() && self.ended.is_empty() && self.instances.is_empty()
    }
}

#[test]
fn the_made_up_modules_are_of_every_sort() {
    let mut runner = TestRunner::deterministic();
    let mut sorts: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..1000 {
        let module = module(0.1).new_tree(&mut runner).unwrap().current();
        let plan = module.plan();
        let of_instances = |is: fn(&InstancePlan) -> bool| plan.instances.iter().any(is);
        for (sort, is) in [
            ("nothing to do", plan.is_empty() && module.processes().count() > 2),
            ("hosts without instance", !plan.new_hosts.is_empty()),
            ("no templates", !plan.ended.is_empty()),
            ("processes that go", of_instances(|plan| !plan.gone.is_empty())),
            ("processes that change", of_instances(|plan| !plan.changed.is_empty())),
            ("processes that stay beside such", of_instances(|plan| plan.changed.len() == 1)),
            ("processes that come", of_instances(|plan| !plan.missing.is_empty())),
            (
                "all of it",
                of_instances(|plan| !plan.gone.is_empty() && !plan.changed.is_empty() && !plan.missing.is_empty()),
            ),
            ("clashes", !module.clashes(&plan).is_empty()),
            ("hosts that left", module.processes().any(|(_, host, _)| !module.hosts.contains_key(&host))),
        ] {
            *sorts.entry(sort).or_default() += usize::from(is);
        }
    }
    assert!(sorts.values().all(|count| *count >= 10), "{sorts:?}");
}

#[test]
fn a_clash_is_told_with_the_cause_of_who_comes_second() {
    // templates 11: what would be made has a number of its own
    let property = |name: &str, param: &str| {
        create(&format!(
            r#"{{"bk_func_name":{{"value":"f"}},"bk_process_name":{{"value":"{name}"}},"bk_start_param_regex":{param}}}"#
        ))
        .unwrap()
    };
    let (instance, host_id) = (ServiceInstanceId(11), HostId(101));
    let (first, second) = (property("a", r#"{"value":"-x"}"#), property("b", r#"{"value":"-y"}"#));
    let follows = property("b", r#"{"value":"-z","as_default_value":true}"#);
    let held = |id: i64, property: &Property, param: &str| {
        let fresh = place(property, ProcessId(id), (instance, host_id), &NO_ADDRESSES);
        let request = format!(r#"{{"bk_start_param_regex":"{param}"}}"#);
        let process = edit_on(property, &stored(&fresh), &request, &NO_ADDRESSES).unwrap();
        Held { template_id: ProcessTemplateId(id), process }
    };
    let told = |now: &Property, processes: &[Held]| {
        let module = Module {
            templates: vec![template(1, first.clone()), template(2, now.clone())],
            hosts: HashMap::from([(host_id, NO_ADDRESSES.clone())]),
            instances: BTreeMap::from([(instance, Instance { host_id, processes: processes.to_vec() })]),
        };
        let clashes = module.clashes(&module.plan());
        clashes.into_iter().map(|clash| (clash.cause, clash.name.unwrap(), clash.reason.unwrap())).collect::<Vec<_>>()
    };
    let taken = |cause: Cause, value: &str| {
        vec![(cause, "service_instance_id 11".to_owned(), Reason::Taken { value: value.to_owned() })]
    };
    let both = |first_param, second_param| [held(1, &first, first_param), held(2, &second, second_param)];
    assert_eq!(told(&second, &[held(1, &first, "-y")]), taken(Cause::NotSynchronized, "f -y"));
    assert_eq!(told(&second, &[held(1, &first, "-z")]), []);
    assert_eq!(told(&follows, &both("-z", "-q")), taken(Cause::Duplicate, "f -z"));
    assert_eq!(told(&follows, &both("-q", "-y")), []);
    // Nothing of the unlocked ones changes, whatever their templates say.
    assert_eq!(told(&second, &both("-y", "-x")), []);
}

#[test]
fn what_is_not_of_the_module_is_passed_over_and_nonsense_is_told() {
    let templates = [template(1, create(r#"{"bk_func_name":{"value":"f"},"bk_process_name":{"value":"a"}}"#).unwrap())];
    let hosts = HashMap::new();
    let mut planner = Planner::new(&templates, [(ServiceInstanceId(11), HostId(101))], &hosts, STAMP);
    let mut see = |instance: i64, template: i64| {
        planner.see(FoundProcess {
            id: ProcessId(1),
            service_instance_id: ServiceInstanceId(instance),
            process_template_id: ProcessTemplateId(template),
            fixed_fields: "nonsense",
            extra_fields: "",
        })
    };
    assert_eq!([see(12, 1), see(11, 1), see(11, 0)], [Some(()), None, None]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A module needs a synchronization exactly when that would do something (invariant 13).
    #[test]
    fn a_module_is_clean_where_nothing_is_to_do(module in module(0.0)) {
        prop_assert_eq!(module.tally().is_clean(&module.templates), module.plan().is_empty());
    }

    /// The difference tells all that would be done and nothing else: of the module by template, and of each process.
    #[test]
    fn the_difference_tells_what_a_synchronization_does(module in module(0.0)) {
        let (tally, plan) = (module.tally(), module.plan());
        let ids = |standing: Standing| {
            let all = module.standings().into_iter().filter(move |(_, is, ..)| *is == standing);
            all.map(|(compared, _, id, instance)| (instance, id, compared.process_template_id)).collect::<BTreeSet<_>>()
        };
        let changed = plan.instances.iter().flat_map(|plan| plan.changed.iter().map(|changed| (plan.id, changed.id)));
        let changed: BTreeSet<_> = changed.collect();
        let is: BTreeSet<_> = ids(Standing::Changed).into_iter().map(|(instance, id, _)| (instance, id)).collect();
        prop_assert_eq!(is, changed);
        let gone = plan.instances.iter().flat_map(|plan| plan.gone.iter().map(|gone| gone.id));
        let ended = module.processes().filter(|(id, ..)| plan.ended.contains(id)).map(|(.., held)| held.process.id);
        let gone: BTreeSet<_> = gone.chain(ended).collect();
        let is: BTreeSet<_> = ids(Standing::Removed).into_iter().map(|(_, id, _)| id).collect();
        prop_assert_eq!(&is, &gone);

        let told = |templates: &mut dyn Iterator<Item = &ProcessTemplate>| templates.map(|of| of.id).collect::<Vec<_>>();
        let of_changed: BTreeSet<_> = ids(Standing::Changed).into_iter().map(|(.., template)| template).collect();
        prop_assert_eq!(told(&mut tally.changed(&module.templates)), of_changed.into_iter().collect::<Vec<_>>());
        let is_made = |place: usize| {
            !plan.new_hosts.is_empty() || plan.instances.iter().any(|plan| plan.missing.contains(&place))
        };
        let made = module.templates.iter().enumerate().filter(|(place, _)| is_made(*place));
        prop_assert_eq!(told(&mut tally.added(&module.templates)), made.map(|(_, of)| of.id).collect::<Vec<_>>());
        // Of each name once, and with a template that such a process names.
        let going = module.processes().filter(|(.., held)| gone.contains(&held.process.id));
        let going: BTreeSet<_> = going.map(|(.., held)| (held.process.keys.name.as_str(), held.template_id)).collect();
        let removed: Vec<_> = tally.removed().collect();
        prop_assert!(removed.iter().all(|removed| going.contains(removed)));
        let names: BTreeSet<_> = going.iter().map(|(name, _)| *name).collect();
        prop_assert_eq!(removed.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), Vec::from_iter(names));
    }

    /// A synchronization leaves nothing to do, and each host with an instance that has a process of each template and no other
    /// (invariants 1, 2, 4 and 7).
    #[test]
    fn a_synchronization_ends_the_difference(module in module(0.1)) {
        let after = module.after(&module.plan());
        let again = after.plan();
        prop_assert!(again.is_empty(), "{:?}", again);
        prop_assert_eq!(&after.after(&again), &after);
        let has_host = |instance: &&Instance| after.hosts.contains_key(&instance.host_id);
        let on_hosts: Vec<_> = after.instances.values().filter(has_host).collect();
        if module.templates.is_empty() {
            prop_assert_eq!(after.instances.len(), 0);
        } else {
            prop_assert_eq!(on_hosts.len(), after.hosts.len());
        }
        if on_hosts.len() == after.instances.len() {
            prop_assert!(after.tally().is_clean(&after.templates));
        }
        for instance in after.instances.values() {
            let mut ids: Vec<_> = instance.processes.iter().map(|held| held.template_id).collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, after.templates.iter().map(|template| template.id).collect::<Vec<_>>());
        }
        for (_, host_id, held) in after.processes() {
            let property = &after.template(held.template_id).unwrap().property;
            prop_assert!(has_what_is_locked(property, &stored(&held.process), after.host(host_id)), "{:?}", held);
        }
    }

    /// Who they are survives, and so does all that is not locked (invariants 3 and 8).
    #[test]
    fn what_is_not_locked_survives(module in module(0.1)) {
        let after = module.after(&module.plan());
        let is: HashMap<_, _> = after.processes().map(|(id, _, held)| (held.process.id, (id, held))).collect();
        for (id, host_id, was) in module.processes() {
            let Some(template) = module.template(was.template_id) else { continue };
            let (instance, held) = is[&was.process.id];
            prop_assert_eq!((instance, after.instances[&instance].host_id), (id, host_id));
            let (before, after) = (stored(&was.process), stored(&held.process));
            for name in ["bk_process_id", "service_instance_id", "bk_biz_id", "create_time"] {
                prop_assert_eq!(field(&before, name), field(&after, name), "{}", name);
            }
            let property = &template.property;
            prop_assert_eq!(unlocked(property, &after, &before), unlocked(property, &before, &before));
        }
    }

    /// A change tells what the process was and will be, and in which fields.
    #[test]
    fn a_change_tells_its_fields(module in module(0.1)) {
        let was: HashMap<_, _> = module.processes().map(|(.., held)| (held.process.id, &held.process)).collect();
        for changed in module.plan().instances.iter().flat_map(|plan| &plan.changed) {
            let (before, after) = (stored(was[&changed.id]), stored(&changed.after));
            prop_assert_eq!((changed.before.as_str(), &changed.keys), (before.document(), &before.keys));
            prop_assert_eq!(&changed.after.keys, &after.keys);
            let object = |text: &str| tree(text).as_object().unwrap().clone();
            let fields = object(&changed.fields);
            prop_assert!(!fields.is_empty());
            let (before, after) = (object(before.document()), object(after.document()));
            for (field, is) in after.iter().filter(|(field, _)| !matches!(*field, "last_time" | "bk_updated_at" | "bk_updated_by")) {
                prop_assert_eq!(is, fields.get(field).or(before.get(field)).unwrap(), "{}", field);
                prop_assert!(fields.get(field).is_none() || before.get(field) != Some(is), "{}", field);
            }
            prop_assert!(fields.iter().all(|(field, _)| after.get(field).is_some()));
            prop_assert_eq!([after.get("last_time"), after.get("bk_updated_by")], [Some(&"later".into()), Some(&"ops".into())]);
        }
    }

    /// Without process templates every instance ends, and no host gets one.
    #[test]
    fn without_templates_every_instance_ends(module in module(0.1)) {
        let module = Module { templates: Vec::new(), ..module };
        let ended: Vec<_> = module.instances.keys().copied().collect();
        let want = Plan { new_hosts: Vec::new(), ended, instances: Vec::new() };
        prop_assert_eq!(module.plan(), want);
    }

    /// The instances that a plan would leave with two processes that may not be together are named, and no others.
    #[test]
    fn clashes_are_told_where_there_would_be_any(module in module(0.1)) {
        let plan = module.plan();
        let clashes = module.clashes(&plan);
        let told: BTreeSet<_> = clashes.iter().map(|clash| clash.name.clone().unwrap()).collect();
        let after = module.after(&plan);
        let broken = after.instances.iter().filter(|(_, instance)| {
            !are_unique(instance.processes.iter().map(|held| &held.process.keys))
        });
        prop_assert_eq!(told, broken.map(|(id, _)| format!("service_instance_id {id}")).collect());
    }
}
