//! What a synchronization does to the instances of a module on some of its hosts (`templates` 11): decided while their processes are
//! looked at once, as a value that is then carried out, or shown.

use crate::bind_info::{HostAddresses, NO_ADDRESSES};
use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::{HostId, ProcessId, ProcessTemplateId, ServiceInstanceId};
use crate::json::{FieldPath, Json, Object};
use crate::process::{self, NewProcess, ProcessKeys, StoredProcess, UpdateStamp};
use crate::process_template::{Pattern, ProcessTemplate, adopt};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A stored process of an instance that follows the template, borrowed from the row it is read from.
#[derive(Debug, Clone, Copy)]
pub struct FoundProcess<'a> {
    pub id: ProcessId,
    pub service_instance_id: ServiceInstanceId,
    /// 0, or that of a template that is gone: its template is gone.
    pub process_template_id: ProcessTemplateId,
    /// Members of the fixed fields, without braces.
    pub fixed_fields: &'a str,
    /// Members of the rest, without braces.
    pub extra_fields: &'a str,
}

/// A process whose template is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Gone {
    pub id: ProcessId,
    pub name: String,
    /// JSON text.
    pub document: String,
}

/// A process that is not as its template wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub id: ProcessId,
    /// What it holds of the unique rules until now.
    pub keys: ProcessKeys,
    /// JSON text.
    pub before: String,
    pub after: NewProcess,
    /// The fields that change with their values afterwards: JSON text.
    pub fields: String,
}

/// What becomes of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstancePlan {
    pub id: ServiceInstanceId,
    pub host_id: HostId,
    pub gone: Vec<Gone>,
    pub changed: Vec<Changed>,
    /// The templates, by their places, of which the instance lacks a process.
    pub missing: Vec<usize>,
}

impl InstancePlan {
    /// Whether the instance stays as it is.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.changed.is_empty() && self.missing.is_empty()
    }

    /// Processes that change keep the cause of a duplicate, those that would be made have one of their own.
    fn find_clashes(&self, held: Vec<(ProcessId, ProcessKeys)>, templates: &[ProcessKeys], faults: &mut Vec<Fault>) {
        let moving: HashSet<_> =
            self.changed.iter().map(|changed| changed.id).chain(self.gone.iter().map(|gone| gone.id)).collect();
        let staying = held.into_iter().filter(|(id, _)| !moving.contains(id));
        let staying: Vec<_> = staying.map(|(_, keys)| keys).collect();
        let changed = self.changed.iter().map(|changed| &changed.after.keys);
        let made = self.missing.iter().map(|place| &templates[*place]);
        let wanted: Vec<_> = changed.chain(made).collect();
        let at = |i: usize| FieldPath::of("processes").index(i);
        let mut clashes = Vec::new();
        process::find_clashes(&staying, &wanted, |i, _| at(i), &mut clashes);
        faults.extend(clashes.into_iter().map(|clash| {
            let is_made = (self.changed.len()..wanted.len()).any(|i| clash.path == at(i));
            let cause = if is_made { Cause::NotSynchronized } else { clash.cause };
            let value = match clash.reason {
                Some(Reason::Taken { value } | Reason::TakenInRequest { value, .. }) => value,
                _ => quoted(clash.name.as_deref().unwrap_or_default()),
            };
            Fault::new(cause, "").named(format!("service_instance_id {}", self.id)).because(Reason::Taken { value })
        }));
    }
}

/// The whole decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Hosts that get their instance, in order of their ids.
    pub new_hosts: Vec<HostId>,
    /// Instances that go, since the template has no process template any more.
    pub ended: Vec<ServiceInstanceId>,
    /// What becomes of the others, in order of their ids. Those that stay as they are are left out.
    pub instances: Vec<InstancePlan>,
}

impl Plan {
    /// The instances in which something unique becomes another: for [`Self::find_clashes`].
    pub fn with_other_keys(&self) -> Vec<ServiceInstanceId> {
        let changes = |plan: &&InstancePlan| {
            !plan.missing.is_empty() || plan.changed.iter().any(|changed| changed.keys != changed.after.keys)
        };
        self.instances.iter().filter(changes).map(|plan| plan.id).collect()
    }

    /// Which processes would clash: an unlocked start parameter may have become that of another template of the same program. `held`: what
    /// the processes of those instances hold until now.
    pub fn find_clashes(
        &self,
        templates: &[ProcessTemplate],
        held: impl IntoIterator<Item = (ServiceInstanceId, ProcessId, ProcessKeys)>,
    ) -> Vec<Fault> {
        let mut by_instance: HashMap<ServiceInstanceId, Vec<(ProcessId, ProcessKeys)>> = HashMap::new();
        for (instance, id, keys) in held {
            by_instance.entry(instance).or_default().push((id, keys));
        }
        let keys: Vec<_> = templates.iter().map(|template| template.property.keys()).collect();
        let mut faults = Vec::new();
        for plan in &self.instances {
            let Some(held) = by_instance.remove(&plan.id) else { continue };
            plan.find_clashes(held, &keys, &mut faults);
        }
        faults
    }
}

/// An instance while its processes are looked at.
struct Seen {
    plan: InstancePlan,
    has: HashSet<ProcessTemplateId>,
}

/// Decides while it is shown the processes.
pub struct Planner<'a> {
    templates: &'a [ProcessTemplate],
    patterns: HashMap<ProcessTemplateId, (Pattern<'a>, &'a ProcessTemplate)>,
    hosts: &'a HashMap<HostId, HostAddresses>,
    stamp: UpdateStamp<'a>,
    seen: BTreeMap<ServiceInstanceId, Seen>,
}

impl<'a> Planner<'a> {
    /// `templates`: those of the service template, in order of their ids. `instances`: those that follow it, with their hosts. `hosts`:
    /// the addresses of the hosts that are in the module.
    pub fn new(
        templates: &'a [ProcessTemplate],
        instances: impl IntoIterator<Item = (ServiceInstanceId, HostId)>,
        hosts: &'a HashMap<HostId, HostAddresses>,
        stamp: UpdateStamp<'a>,
    ) -> Self {
        let patterns =
            templates.iter().map(|template| (template.id, (template.property.pattern(), template))).collect();
        let seen = instances.into_iter().map(|(id, host_id)| {
            let plan = InstancePlan { id, host_id, gone: Vec::new(), changed: Vec::new(), missing: Vec::new() };
            (id, Seen { plan, has: HashSet::new() })
        });
        Self { templates, patterns, hosts, stamp, seen: seen.collect() }
    }

    /// Looks at one more process. `None` when its text is not one that this program stores.
    pub fn see(&mut self, found: FoundProcess<'_>) -> Option<()> {
        let Some(seen) = self.seen.get_mut(&found.service_instance_id) else { return Some(()) };
        let read = || StoredProcess::read(found.id, found.fixed_fields, found.extra_fields);
        let Some((pattern, template)) = self.patterns.get(&found.process_template_id) else {
            let stored = read()?;
            let document = stored.document().to_owned();
            seen.plan.gone.push(Gone { id: found.id, name: stored.keys.name, document });
            return Some(());
        };
        seen.has.insert(found.process_template_id);
        let host = self.hosts.get(&seen.plan.host_id).unwrap_or(&NO_ADDRESSES);
        if pattern.is_followed(found.fixed_fields, host)? {
            return Some(());
        }
        let stored = read()?;
        let differences = template.property.differences(&stored, host);
        let fields: Object = differences.iter().map(|found| (found.field.to_owned(), found.becomes.clone())).collect();
        seen.plan.changed.push(Changed {
            id: found.id,
            before: stored.document().to_owned(),
            after: adopt(&stored, &differences, self.stamp),
            fields: Json::Object(fields).to_string(),
            keys: stored.keys,
        });
        Some(())
    }

    /// The decision, once all processes were shown.
    pub fn finish(self) -> Plan {
        if self.templates.is_empty() {
            let ended = self.seen.into_keys().collect();
            return Plan { new_hosts: Vec::new(), ended, instances: Vec::new() };
        }
        let with_instance: HashSet<_> = self.seen.values().map(|seen| seen.plan.host_id).collect();
        let mut new_hosts: Vec<_> = self.hosts.keys().copied().filter(|host| !with_instance.contains(host)).collect();
        new_hosts.sort_unstable();
        let mut instances = Vec::new();
        for mut seen in self.seen.into_values() {
            let lacks = self.templates.iter().enumerate().filter(|(_, template)| !seen.has.contains(&template.id));
            seen.plan.missing = lacks.map(|(place, _)| place).collect();
            if !seen.plan.is_empty() {
                instances.push(seen.plan);
            }
        }
        Plan { new_hosts, ended: Vec::new(), instances }
    }
}

#[cfg(test)]
mod tests;
