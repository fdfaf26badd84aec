//! How far a module is from its service template (`templates` 10). A process differs where following its template would change it; what
//! is told here is what a synchronization would do.

use crate::bind_info::{HostAddresses, NO_ADDRESSES};
use crate::id::{HostId, ProcessTemplateId};
use crate::json::Json;
use crate::process_template::{Pattern, ProcessTemplate};
use crate::template_attribute::TemplateAttribute;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The process templates of a service template, prepared for looking at the processes of its modules.
pub struct Patterns<'a> {
    templates: &'a [ProcessTemplate],
    /// Few: a tree finds them quicker than a hash.
    patterns: BTreeMap<ProcessTemplateId, Pattern<'a>>,
}

impl<'a> Patterns<'a> {
    /// Of these templates.
    pub fn new(templates: &'a [ProcessTemplate]) -> Self {
        let patterns = templates.iter().map(|template| (template.id, template.property.pattern())).collect();
        Self { templates, patterns }
    }

    /// The templates.
    pub fn templates(&self) -> &'a [ProcessTemplate] {
        self.templates
    }
}

/// What a process of a module is to the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It follows its template.
    Same,
    /// Following would change it.
    Changed,
    /// Its template is gone, and it would go too.
    Removed,
}

/// A stored process as a comparison looks at it.
#[derive(Debug, Clone, Copy)]
pub struct ComparedProcess<'a> {
    /// 0: its template is gone.
    pub process_template_id: ProcessTemplateId,
    pub host_id: HostId,
    pub name: &'a str,
    /// Members of the fixed fields, without braces.
    pub fixed_fields: &'a str,
}

impl Patterns<'_> {
    /// How a process stands to its template. `None` when its text is not one that this program stores.
    pub fn standing(&self, process: ComparedProcess<'_>, hosts: &HashMap<HostId, HostAddresses>) -> Option<Standing> {
        let Some(pattern) = self.patterns.get(&process.process_template_id) else { return Some(Standing::Removed) };
        let host = hosts.get(&process.host_id).unwrap_or(&NO_ADDRESSES);
        Some(if pattern.is_followed(process.fixed_fields, host)? { Standing::Same } else { Standing::Changed })
    }
}

/// What was seen of a module: bounded by its templates, however many processes it has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Instances that follow the template.
    pub instances: usize,
    /// Hosts in the module.
    pub hosts: usize,
    /// How many processes each template has.
    have: BTreeMap<ProcessTemplateId, usize>,
    changed: BTreeSet<ProcessTemplateId>,
    removed: BTreeMap<String, ProcessTemplateId>,
}

impl Tally {
    /// Takes in one more process.
    pub fn see(&mut self, process: ComparedProcess<'_>, standing: Standing) {
        if standing == Standing::Removed {
            if !self.removed.contains_key(process.name) {
                self.removed.insert(process.name.to_owned(), process.process_template_id);
            }
            return;
        }
        *self.have.entry(process.process_template_id).or_default() += 1;
        if standing == Standing::Changed {
            self.changed.insert(process.process_template_id);
        }
    }

    /// The templates of which a process would change.
    pub fn changed<'a>(&'a self, templates: &'a [ProcessTemplate]) -> impl Iterator<Item = &'a ProcessTemplate> {
        templates.iter().filter(|template| self.changed.contains(&template.id))
    }

    /// The templates of which processes would come to be: those that an instance lacks, and all while a host lacks its instance.
    pub fn added<'a>(&'a self, templates: &'a [ProcessTemplate]) -> impl Iterator<Item = &'a ProcessTemplate> {
        let lacks = |template: &&ProcessTemplate| {
            self.hosts != self.instances || self.have.get(&template.id).copied().unwrap_or_default() < self.instances
        };
        templates.iter().filter(lacks)
    }

    /// The processes that would go, each name once, with the template they name.
    pub fn removed(&self) -> impl Iterator<Item = (&str, ProcessTemplateId)> {
        self.removed.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// Whether a synchronization would change an instance or a process.
    pub fn is_clean(&self, templates: &[ProcessTemplate]) -> bool {
        self.changed.is_empty() && self.removed.is_empty() && self.added(templates).next().is_none()
    }
}

/// Whether a module has the values that its template fixes. `value_of` tells the module's value of an attribute.
pub fn has_values<'a>(
    attributes: &[TemplateAttribute],
    value_of: impl Fn(&TemplateAttribute) -> Option<&'a Json>,
) -> bool {
    attributes.iter().all(|held| value_of(held).unwrap_or(&Json::Null) == &held.value)
}
