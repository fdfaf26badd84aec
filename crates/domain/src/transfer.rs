//! Moving hosts between modules: which places a host leaves and which it joins (`topology` §10). A host is in exactly one
//! built-in module or in one or more ordinary ones, all of one business, and never in none; every plan keeps it so.

use crate::fault::{Cause, Fault, Reason};
use crate::id::{BusinessId, HostId, ModuleId, SetId};
use crate::json::FieldPath;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A module as far as transfers look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModulePlace {
    pub id: ModuleId,
    pub set_id: SetId,
    pub business_id: BusinessId,
    /// `default` on the wire: 0 an ordinary module, else a built-in one.
    pub kind: i64,
}

impl ModulePlace {
    /// Where free hosts of a business wait.
    pub const IDLE: i64 = 1;
    /// A directory that people made inside the pool.
    pub const DIRECTORY: i64 = 4;

    /// Whether hosts in it are in no other module.
    pub fn is_built_in(&self) -> bool {
        self.kind != 0
    }
}

/// A business as far as transfers look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusinessState {
    pub is_archived: bool,
}

/// What a transfer needs to know. Hosts and modules that the caller may not know of are left out of it and so look absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransferState {
    /// The business the hosts go to; `None`: there is none of this id.
    pub business: Option<BusinessState>,
    /// The target modules that exist, and every module that a host is in now.
    pub modules: Vec<ModulePlace>,
    /// Every module of every host.
    pub relations: Vec<(HostId, ModuleId)>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransferRequest<'a> {
    /// The business that the hosts must be in.
    pub source: BusinessId,
    /// The business of the target modules.
    pub business: BusinessId,
    pub hosts: &'a [HostId],
    pub targets: &'a [ModuleId],
    pub kind: TransferKind,
}

/// What kind of modules hosts are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    /// Ordinary modules that the caller names. An increment leaves hosts in the ordinary modules they have.
    Ordinary { is_increment: bool },
    /// The one built-in module that the operation stands for.
    BuiltIn,
}

/// A host whose places change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMove {
    pub host_id: HostId,
    /// In order of their ids, as in `after`.
    pub before: Vec<ModulePlace>,
    pub after: Vec<ModulePlace>,
}

/// A host in a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    pub host_id: HostId,
    pub module: ModulePlace,
}

/// What a transfer changes: hosts that stay where they are have no part in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferPlan {
    /// In the order of the request.
    pub moves: Vec<HostMove>,
}

impl TransferPlan {
    /// The relations to remove. None of their modules is one that any of these hosts stays in.
    pub fn leaving(&self) -> impl Iterator<Item = Relation> {
        self.pairs(|host| (&host.before, &host.after))
    }

    /// The relations to make.
    pub fn joining(&self) -> impl Iterator<Item = Relation> {
        self.pairs(|host| (&host.after, &host.before))
    }

    fn pairs<'a>(
        &'a self,
        sides: fn(&HostMove) -> (&Vec<ModulePlace>, &Vec<ModulePlace>),
    ) -> impl Iterator<Item = Relation> + 'a {
        self.moves.iter().flat_map(move |host| {
            let (these, those) = sides(host);
            let host_id = host.host_id;
            these
                .iter()
                .filter(|module| !those.contains(module))
                .map(move |module| Relation { host_id, module: *module })
        })
    }

    /// The hosts that move.
    pub fn hosts(&self) -> Vec<HostId> {
        self.moves.iter().map(|host| host.host_id).collect()
    }

    /// The modules that some host leaves.
    pub fn left_modules(&self) -> Vec<ModuleId> {
        let left: BTreeSet<_> = self.leaving().map(|relation| relation.module.id).collect();
        left.into_iter().collect()
    }

    /// The modules in which hosts are afterwards; service instances there survive.
    pub fn kept_modules(&self) -> Vec<ModuleId> {
        let after = self.moves.iter().flat_map(|host| &host.after);
        let kept: BTreeSet<_> = after.map(|module| module.id).collect();
        kept.into_iter().collect()
    }
}

/// Decides a transfer: the changes, or everything that is wrong in the first stage that finds something (`topology` 10.1).
pub fn plan_transfer(state: &TransferState, request: &TransferRequest<'_>) -> Result<TransferPlan, Vec<Fault>> {
    match state.business {
        None => return Err(vec![Fault::new(Cause::BusinessAbsent, "bk_biz_id")]),
        Some(business) if business.is_archived => {
            return Err(vec![Fault::new(Cause::BusinessArchived, "bk_biz_id")]);
        }
        Some(_) => {}
    }
    let modules: HashMap<_, _> = state.modules.iter().map(|module| (module.id, *module)).collect();
    let targets = check_targets(&modules, request)?;
    let places = check_hosts(state, &modules, request)?;

    let mut seen = HashSet::new();
    let moves = request
        .hosts
        .iter()
        .filter(|host_id| seen.insert(**host_id))
        .filter_map(|host_id| {
            let before = &places[host_id];
            let mut after = targets.clone();
            if request.kind == (TransferKind::Ordinary { is_increment: true }) {
                let kept = before.iter().filter(|(_, module)| !module.is_built_in());
                after.extend(kept);
            }
            (*before != after).then(|| HostMove {
                host_id: *host_id,
                before: before.values().copied().collect(),
                after: after.into_values().collect(),
            })
        })
        .collect();
    Ok(TransferPlan { moves })
}

type Places = BTreeMap<ModuleId, ModulePlace>;

fn check_targets(
    modules: &HashMap<ModuleId, ModulePlace>,
    request: &TransferRequest<'_>,
) -> Result<Places, Vec<Fault>> {
    if request.targets.is_empty() {
        return Err(vec![Fault::new(Cause::NotSet, "bk_module_id").because(Reason::Blank)]);
    }
    let at = |i| FieldPath::of("bk_module_id").index(i);
    let mut faults = Vec::new();
    let mut targets = Places::new();
    for (i, id) in request.targets.iter().enumerate() {
        match modules.get(id) {
            Some(module) if module.business_id == request.business => {
                targets.insert(*id, *module);
            }
            // One of another business looks the same as none (`topology` 10.3).
            _ => faults.push(Fault::absent(Cause::TargetModuleAbsent, at(i), id)),
        }
    }
    if faults.is_empty() && request.kind != TransferKind::BuiltIn {
        let cause = match targets.len() {
            1 => Cause::UseBuiltInTransfer,
            _ => Cause::BuiltInModuleMixed,
        };
        let named = request.targets.iter().enumerate();
        let built_in = named.filter(|(_, id)| targets[id].is_built_in());
        faults.extend(built_in.map(|(i, _)| Fault::new(cause, at(i))));
    }
    if faults.is_empty() { Ok(targets) } else { Err(faults) }
}

fn check_hosts(
    state: &TransferState,
    modules: &HashMap<ModuleId, ModulePlace>,
    request: &TransferRequest<'_>,
) -> Result<HashMap<HostId, Places>, Vec<Fault>> {
    let mut places: HashMap<HostId, Places> = HashMap::new();
    for (host_id, module_id) in &state.relations {
        if let Some(module) = modules.get(module_id) {
            places.entry(*host_id).or_default().insert(*module_id, *module);
        }
    }
    if request.hosts.is_empty() {
        return Err(vec![Fault::new(Cause::NotSet, "bk_host_id").because(Reason::Blank)]);
    }
    let at = |i| FieldPath::of("bk_host_id").index(i);
    let hosts = || request.hosts.iter().enumerate();
    let absent = hosts().filter(|(_, id)| !places.contains_key(id));
    let absent: Vec<_> = absent.map(|(i, id)| absent_host(*id, at(i))).collect();
    if !absent.is_empty() {
        return Err(absent);
    }
    let foreign = |id: &HostId| places[id].values().any(|module| module.business_id != request.source);
    let foreign: Vec<_> = hosts()
        .filter(|(_, id)| foreign(id))
        .map(|(i, id)| Fault::new(Cause::HostsNotInBusiness, at(i)).named(id.to_string()).with(request.source))
        .collect();
    if foreign.is_empty() { Ok(places) } else { Err(foreign) }
}

/// A host that is not there, or that the caller may not know of.
pub fn absent_host(id: HostId, at: FieldPath) -> Fault {
    Fault::absent(Cause::ParamUnusable, at, id).named("bk_host_id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUSINESS: BusinessId = BusinessId(3);
    const OTHER: BusinessId = BusinessId(4);

    const PLAIN: TransferKind = TransferKind::Ordinary { is_increment: false };
    const INCREMENT: TransferKind = TransferKind::Ordinary { is_increment: true };

    /// Modules 1 to 3 of business 3 and 11 to 13 of business 4 are built in; 5 to 8 and 15 to 18 are ordinary.
    fn modules() -> Vec<ModulePlace> {
        let of = |business: BusinessId, first: i64| {
            (1..=8).filter(|i| *i != 4).map(move |i: i64| ModulePlace {
                id: ModuleId(first + i),
                set_id: SetId(first + i64::from(i > 4)),
                business_id: business,
                kind: if i < 4 { i } else { 0 },
            })
        };
        of(BUSINESS, 0).chain(of(OTHER, 10)).collect()
    }

    fn state(relations: &[(i64, i64)]) -> TransferState {
        TransferState {
            business: Some(BusinessState { is_archived: false }),
            modules: modules(),
            relations: relations.iter().map(|(host, module)| (HostId(*host), ModuleId(*module))).collect(),
        }
    }

    /// The modules of each host that moves, afterwards.
    type Moves = Vec<(i64, Vec<i64>)>;

    fn plan(
        state: &TransferState,
        hosts: &[i64],
        targets: &[i64],
        kind: TransferKind,
    ) -> Result<Moves, Vec<(Cause, String)>> {
        let hosts: Vec<_> = hosts.iter().copied().map(HostId).collect();
        let targets: Vec<_> = targets.iter().copied().map(ModuleId).collect();
        let request = TransferRequest { source: BUSINESS, business: BUSINESS, hosts: &hosts, targets: &targets, kind };
        let ids = |modules: &[ModulePlace]| modules.iter().map(|m| m.id.get()).collect();
        plan_transfer(state, &request)
            .map(|plan| {
                let moves = plan.moves.iter();
                moves.map(|host| (host.host_id.get(), ids(&host.after))).collect()
            })
            .map_err(|faults| {
                let faults = faults.iter();
                faults.map(|f| (f.cause, f.path.to_string())).collect()
            })
    }

    #[test]
    fn hosts_go_where_they_are_sent() {
        let state = state(&[(1, 1), (2, 5), (2, 6), (3, 2)]);
        let check = |hosts: &[i64], targets: &[i64], kind, want: &[(i64, &[i64])]| {
            let want = want.iter().map(|(host, after)| (*host, after.to_vec()));
            assert_eq!(plan(&state, hosts, targets, kind), Ok(want.collect::<Vec<_>>()));
        };
        // topology E33: a plain transfer leaves everything else.
        check(&[2], &[7], PLAIN, &[(2, &[7])]);
        // topology E34: a module the host is in already stays untouched.
        check(&[2], &[5, 7], PLAIN, &[(2, &[5, 7])]);
        // topology E35: an increment keeps ordinary modules and drops the built-in one.
        check(&[1, 2], &[7], INCREMENT, &[(1, &[7]), (2, &[5, 6, 7])]);
        check(&[1, 2, 1], &[5], INCREMENT, &[(1, &[5])]);
        // topology 10.4: idle to idle changes nothing; from anywhere to idle.
        check(&[1, 2, 3], &[1], TransferKind::BuiltIn, &[(2, &[1]), (3, &[1])]);
    }

    #[test]
    fn a_refusal_names_every_bad_item_of_its_stage() {
        let mut state = state(&[(1, 1), (2, 5), (9, 15), (8, 11)]);
        let check = |state: &TransferState, hosts: &[i64], targets: &[i64], kind, want: &[(Cause, &str)]| {
            let want: Vec<_> = want.iter().map(|(c, at)| (*c, at.to_string())).collect();
            assert_eq!(plan(state, hosts, targets, kind), Err(want));
        };
        use Cause::{
            BuiltInModuleMixed, BusinessAbsent, BusinessArchived, HostsNotInBusiness, NotSet, ParamUnusable,
            TargetModuleAbsent, UseBuiltInTransfer,
        };
        check(
            &state,
            &[99],
            &[5, 98, 15, 97],
            PLAIN,
            &[
                (TargetModuleAbsent, "bk_module_id[1]"),
                (TargetModuleAbsent, "bk_module_id[2]"),
                (TargetModuleAbsent, "bk_module_id[3]"),
            ],
        );
        // topology E36.
        check(
            &state,
            &[1],
            &[1, 5, 2],
            PLAIN,
            &[(BuiltInModuleMixed, "bk_module_id[0]"), (BuiltInModuleMixed, "bk_module_id[2]")],
        );
        // topology E37.
        let lone = [(UseBuiltInTransfer, "bk_module_id[0]")];
        check(&state, &[2], &[1], PLAIN, &lone);
        check(&state, &[2], &[1], INCREMENT, &[(UseBuiltInTransfer, "bk_module_id[0]")]);
        check(
            &state,
            &[1, 99, 9, 0, -1],
            &[5],
            PLAIN,
            &[(ParamUnusable, "bk_host_id[1]"), (ParamUnusable, "bk_host_id[3]"), (ParamUnusable, "bk_host_id[4]")],
        );
        // topology E29, E30.
        check(
            &state,
            &[9, 1, 8],
            &[5],
            PLAIN,
            &[(HostsNotInBusiness, "bk_host_id[0]"), (HostsNotInBusiness, "bk_host_id[2]")],
        );
        check(&state, &[], &[5], PLAIN, &[(NotSet, "bk_host_id")]);
        check(&state, &[1], &[], PLAIN, &[(NotSet, "bk_module_id")]);
        state.business = Some(BusinessState { is_archived: true });
        check(&state, &[1], &[5], PLAIN, &[(BusinessArchived, "bk_biz_id")]);
        state.business = None;
        check(&state, &[1], &[5], PLAIN, &[(BusinessAbsent, "bk_biz_id")]);
    }

    /// Where a host may be: one built-in module, or some ordinary ones, of one business.
    fn whereabouts() -> impl Strategy<Value = Vec<i64>> {
        let of = |first: i64| {
            prop_oneof![
                (1..=3_i64).prop_map(move |i| vec![first + i]),
                prop::collection::btree_set(5..=8_i64, 1..=4)
                    .prop_map(move |set| set.into_iter().map(|i| first + i).collect()),
            ]
        };
        prop_oneof![4 => of(0), 1 => of(10)]
    }

    proptest! {
        /// `topology` 10.2 and invariant 4: whatever is asked for, a plan that is made leaves every host in one built-in module
        /// or in ordinary modules of one business, touches nobody else, and keeps what need not go.
        #[test]
        fn hosts_are_never_nowhere_nor_in_two_minds(
            hosts in prop::collection::vec(whereabouts(), 1..6),
            asked in prop::collection::vec(0..7_i64, 0..6),
            targets in prop::collection::vec(prop_oneof![9 => 1..=8_i64, 1 => 11..=18_i64], 0..4),
            kind in prop_oneof![4 => Just(PLAIN), 4 => Just(INCREMENT), 1 => Just(TransferKind::BuiltIn)],
        ) {
            let mut now: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
            for (host, modules) in hosts.iter().enumerate() {
                now.insert(i64::try_from(host).unwrap(), modules.iter().copied().collect());
            }
            let pairs: Vec<_> = now.iter().flat_map(|(host, modules)| modules.iter().map(|m| (*host, *m))).collect();
            let state = state(&pairs);
            let targets = match kind {
                // The operation looks its one module up itself.
                TransferKind::BuiltIn => vec![1],
                TransferKind::Ordinary { .. } => targets,
            };
            let host_ids: Vec<_> = asked.iter().copied().map(HostId).collect();
            let target_ids: Vec<_> = targets.iter().copied().map(ModuleId).collect();
            let request = TransferRequest {
                source: BUSINESS, business: BUSINESS, hosts: &host_ids, targets: &target_ids, kind,
            };
            let kinds: HashMap<i64, ModulePlace> = modules().iter().map(|m| (m.id.get(), *m)).collect();
            let distinct: BTreeSet<_> = targets.iter().copied().collect();
            let is_fine = !asked.is_empty() && !targets.is_empty()
                && targets.iter().all(|m| kinds.get(m).is_some_and(|m| m.business_id == BUSINESS))
                && (kind == TransferKind::BuiltIn || distinct.iter().all(|m| kinds[m].kind == 0))
                && asked.iter().all(|h| now.get(h).is_some_and(|ms| ms.iter().all(|m| *m < 10)));
            let plan = plan_transfer(&state, &request);
            prop_assert_eq!(plan.is_ok(), is_fine);
            let Ok(plan) = plan else { return Ok(()) };

            let before = now.clone();
            for gone in plan.leaving() {
                prop_assert!(now.get_mut(&gone.host_id.get()).unwrap().remove(&gone.module.id.get()));
                prop_assert!(!plan.kept_modules().contains(&gone.module.id));
                prop_assert!(plan.left_modules().contains(&gone.module.id));
            }
            for made in plan.joining() {
                prop_assert!(now.get_mut(&made.host_id.get()).unwrap().insert(made.module.id.get()));
            }
            for (host, modules) in &now {
                prop_assert!(!modules.is_empty());
                let businesses: HashSet<_> = modules.iter().map(|m| kinds[m].business_id).collect();
                prop_assert_eq!(businesses.len(), 1);
                prop_assert!(modules.len() == 1 || modules.iter().all(|m| kinds[m].kind == 0));
                let want: BTreeSet<i64> = if !asked.contains(host) {
                    before[host].clone()
                } else if kind == INCREMENT {
                    distinct.iter().copied().chain(before[host].iter().copied().filter(|m| kinds[m].kind == 0)).collect()
                } else {
                    distinct.clone()
                };
                prop_assert_eq!(modules, &want);
                prop_assert_eq!(plan.hosts().contains(&HostId(*host)), modules != &before[host]);
            }
        }
    }
}
