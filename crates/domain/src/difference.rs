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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{BusinessId, ServiceTemplateId, TemplateAttributeId};
    use crate::process_template::made_up::{create, host, placed, text_of, tree};
    use crate::topology::Birth;

    fn template(id: i64, name: &str) -> ProcessTemplate {
        let property = create(&format!(
            r#"{{"bk_func_name":{{"value":"{name}"}},"bk_process_name":{{"value":"{name}"}},
               "user":{{"value":"root","as_default_value":true}}}}"#
        ));
        let owner = (BusinessId(3), ServiceTemplateId(1));
        ProcessTemplate::place(ProcessTemplateId(id), owner, property.unwrap(), &Birth { time: "once", user: "ops" })
    }

    fn process(template: i64, name: &str) -> ComparedProcess<'_> {
        let process_template_id = ProcessTemplateId(template);
        ComparedProcess { process_template_id, host_id: HostId(7), name, fixed_fields: "" }
    }

    /// What a tally tells: the templates by their ids, and the names of what goes. It is clean when that is nothing.
    fn told(tally: &Tally) -> (Vec<i64>, Vec<i64>, Vec<(&str, i64)>) {
        let templates = [template(1, "a"), template(2, "b")];
        let ids = |of: &mut dyn Iterator<Item = &ProcessTemplate>| of.map(|template| template.id.get()).collect();
        let changed: Vec<_> = ids(&mut tally.changed(&templates));
        let added: Vec<_> = ids(&mut tally.added(&templates));
        let removed: Vec<_> = tally.removed().map(|(name, id)| (name, id.get())).collect();
        let is_clean = changed.is_empty() && added.is_empty() && removed.is_empty();
        assert_eq!(tally.is_clean(&templates), is_clean);
        (changed, added, removed)
    }

    #[test]
    fn a_module_is_told_by_template() {
        // templates 10.3
        let of = |instances, hosts, seen: &[(i64, &'static str, Standing)]| {
            let mut tally = Tally { instances, hosts, ..Tally::default() };
            for (template, name, standing) in seen {
                tally.see(process(*template, name), *standing);
            }
            tally
        };
        let (same, changed, removed) = (Standing::Same, Standing::Changed, Standing::Removed);
        let whole = [(1, "a", same), (2, "b", same), (1, "a", same), (2, "b", same)];
        assert_eq!(told(&of(0, 0, &[])), (vec![], vec![], vec![]));
        assert_eq!(told(&of(2, 2, &whole)), (vec![], vec![], vec![]));
        // A host without instance: every template has something to make.
        assert_eq!(told(&of(2, 3, &whole)), (vec![], vec![1, 2], vec![]));
        assert_eq!(told(&of(0, 1, &[])), (vec![], vec![1, 2], vec![]));
        assert_eq!(told(&of(2, 2, &whole[..3])), (vec![], vec![2], vec![]));
        // One of several is enough, and a process that would change is there.
        let other = [(1, "a", same), (2, "b", changed), (1, "a", same), (2, "b", same)];
        assert_eq!(told(&of(2, 2, &other)), (vec![2], vec![], vec![]));
        // What goes is told by its name, once, with the template that the first names; it stands for no template that is there.
        let gone = [(0, "z", removed), (9, "z", removed), (9, "c", removed), (1, "a", same), (2, "b", same)];
        assert_eq!(told(&of(1, 1, &gone)), (vec![], vec![], vec![("c", 9), ("z", 0)]));
        assert_eq!(told(&of(1, 1, &[(2, "b", same), (9, "a", removed)])), (vec![], vec![1], vec![("a", 9)]));
    }

    #[test]
    fn how_a_process_stands_to_its_template() {
        let templates = [template(1, "a"), template(2, "b")];
        let patterns = Patterns::new(&templates);
        assert_eq!(patterns.templates(), &templates);
        let fields = text_of(&placed(&templates[0].property, &host()));
        let standing = |template: i64, fixed_fields: &str| {
            let process = ComparedProcess { fixed_fields, ..process(template, "a") };
            patterns.standing(process, &HashMap::new())
        };
        assert_eq!(standing(1, &fields), Some(Standing::Same));
        assert_eq!(standing(1, &fields.replace("root", "other")), Some(Standing::Changed));
        assert_eq!(standing(2, &fields), Some(Standing::Changed));
        assert_eq!([standing(0, &fields), standing(3, &fields)], [Some(Standing::Removed); 2]);
        assert_eq!(standing(1, "nonsense"), None);
    }

    #[test]
    fn a_value_that_is_missing_counts_as_null() {
        let fixed = |attribute_id: i64, value: &str| TemplateAttribute {
            id: TemplateAttributeId(attribute_id),
            attribute_id,
            value: tree(value),
            document: String::new(),
        };
        let module = [(1, Json::Int(2)), (3, Json::Null)];
        let has = |attributes: &[TemplateAttribute]| {
            let value_of = |held: &TemplateAttribute| module.iter().find(|(id, _)| *id == held.attribute_id);
            has_values(attributes, |held| value_of(held).map(|(_, value)| value))
        };
        assert!(has(&[]));
        assert!(has(&[fixed(1, "2"), fixed(2, "null"), fixed(3, "null")]));
        for other in [fixed(1, "3"), fixed(1, "\"2\""), fixed(1, "null"), fixed(2, "0"), fixed(3, "\"\"")] {
            assert!(!has(&[fixed(1, "2"), other.clone()]), "{other:?}");
        }
    }
}
