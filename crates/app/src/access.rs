//! Who may do what. A right is a value: functions that change something take a [`Granted`], and only [`Access`] can make one.

use rollcall_domain::id::BusinessId;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $name:ident = $wire:literal, $zh:literal, $en:literal, [$($resource:ident),*];)*) => {
        /// A right as it is granted and named in refusals (`gateway` 8.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[doc = $doc])* $name,)* }

        impl Action {
            /// Every action there is.
            pub const ALL: &[Action] = &[$(Action::$name),*];

            /// The id on the wire and in grants.
            pub fn wire(self) -> &'static str {
                match self { $(Action::$name => $wire,)* }
            }

            /// The name for people, Chinese and English.
            pub fn names(self) -> (&'static str, &'static str) {
                match self { $(Action::$name => ($zh, $en),)* }
            }

            /// The types of the resources it is asked on.
            pub fn resources(self) -> &'static [ResourceType] {
                match self { $(Action::$name => &[$(ResourceType::$resource),*],)* }
            }
        }

        /// Actions as types, for [`Granted`].
        pub mod right {
            $($(#[doc = $doc])* #[derive(Debug, Clone, Copy)] pub struct $name;
            impl super::Right for $name { const ACTION: super::Action = super::Action::$name; })*
        }
    };
}

actions! {
    /// Make service instances.
    CreateServiceInstance = "create_biz_service_instance", "服务实例新建", "Create Service Instance", [Business];
    /// Change service instances and their processes, move hosts between modules.
    EditServiceInstance = "edit_biz_service_instance", "服务实例编辑", "Edit Service Instance", [Business];
    /// Remove service instances.
    DeleteServiceInstance = "delete_biz_service_instance", "服务实例删除", "Delete Service Instance", [Business];
    /// Make service categories.
    CreateServiceCategory = "create_biz_service_category", "服务分类新建", "Create Service Category", [Business];
    /// Rename service categories.
    EditServiceCategory = "edit_biz_service_category", "服务分类编辑", "Edit Service Category", [Business];
    /// Remove service categories.
    DeleteServiceCategory = "delete_biz_service_category", "服务分类删除", "Delete Service Category", [Business];
    /// Make service templates.
    CreateServiceTemplate = "create_biz_service_template", "服务模板新建", "Create Service Template", [Business];
    /// Change service templates.
    EditServiceTemplate = "edit_biz_service_template", "服务模板编辑", "Edit Service Template", [ServiceTemplate];
    /// Remove service templates.
    DeleteServiceTemplate = "delete_biz_service_template", "服务模板删除", "Delete Service Template", [ServiceTemplate];
    /// Make set templates.
    CreateSetTemplate = "create_biz_set_template", "集群模板新建", "Create Set Template", [Business];
    /// Change set templates.
    EditSetTemplate = "edit_biz_set_template", "集群模板编辑", "Edit Set Template", [SetTemplate];
    /// Remove set templates.
    DeleteSetTemplate = "delete_biz_set_template", "集群模板删除", "Delete Set Template", [SetTemplate];
    /// Make sets and modules.
    CreateTopology = "create_biz_topology", "业务拓扑新建", "Create Business Topo", [Business];
    /// Change sets and modules.
    EditTopology = "edit_biz_topology", "业务拓扑编辑", "Edit Business Topo", [Business];
    /// Remove sets and modules.
    DeleteTopology = "delete_biz_topology", "业务拓扑删除", "Delete Business Topo", [Business];
    /// Add hosts to a business, change its hosts.
    EditBusinessHost = "edit_biz_host", "业务主机编辑", "Edit Business Hosts", [Host];
    /// Put hosts of the pool into a business.
    AssignHostToBusiness = "assign_host_to_biz", "主机池主机分配到业务", "Assigned Pool Hosts To Business", [PoolHostDirectory, Business];
    /// Add hosts to the pool.
    CreatePoolHost = "create_resource_pool_host", "主机池主机创建", "Create Pool Hosts", [PoolDirectory];
    /// Change the hosts of the pool.
    EditPoolHost = "edit_resource_pool_host", "主机池主机编辑", "Edit Pool Hosts", [Host];
    /// See the hosts of a business.
    FindBusinessResource = "find_business_resource", "业务访问", "View Business Resource", [Business];
    /// See that a business exists.
    FindBusiness = "find_business", "业务查询", "View Business", [Business];
    /// See who changed what.
    FindAuditLog = "find_audit_log", "操作审计查询", "View Operation Audit", [Business];
    /// Make businesses.
    CreateBusiness = "create_business", "业务创建", "Create Business", [];
}

impl Action {
    /// The action of a wire id.
    pub fn of_wire(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.wire() == id)
    }
}

/// An action as a type.
pub trait Right {
    /// The action.
    const ACTION: Action;
}

/// A type of resource that rights are given on (`gateway` 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceType {
    Business,
    ServiceTemplate,
    SetTemplate,
    Host,
    PoolDirectory,
    PoolHostDirectory,
}

/// The rights that were needed, for the caller to apply for.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub needs: Vec<RefusedNeed>,
}

/// A right that was needed.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedNeed {
    pub action: Action,
    /// One per resource type of the action: the record that stands in its path, where its id is known.
    pub resources: Vec<(ResourceType, Option<(ResourceType, i64)>)>,
}

/// Proof that the caller has a right on a business. Only [`Access`] makes it.
#[derive(Debug, Clone, Copy)]
pub struct Granted<R: Right> {
    business: BusinessId,
    right: PhantomData<R>,
}

impl<R: Right> Granted<R> {
    /// The business it was granted on.
    pub fn business(&self) -> BusinessId {
        self.business
    }
}

/// What a grant covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every business, also those to come, and what belongs to none.
    Everything,
    One(BusinessId),
}

/// All grants of a store, by user.
#[derive(Debug, Default)]
pub struct Grants {
    administrators: HashSet<String>,
    rights: HashMap<String, HashSet<(Action, Scope)>>,
}

impl Grants {
    /// Makes a user an administrator: every right on everything.
    pub fn add_administrator(&mut self, user: &str) {
        self.administrators.insert(user.to_owned());
    }

    /// Gives a user a right.
    pub fn add(&mut self, user: &str, action: Action, scope: Scope) {
        self.rights.entry(user.to_owned()).or_default().insert((action, scope));
    }
}

/// The rights of one caller.
#[derive(Debug, Clone)]
pub struct Access {
    user: String,
    /// The caller of the development mode: every right, whoever they say they are.
    unlimited: bool,
    grants: Arc<Grants>,
    /// Reads that the original leaves open ask for [`Action::FindBusinessResource`].
    protect_reads: bool,
}

impl Access {
    /// The rights that a store's grants give a user.
    pub fn of(user: &str, grants: Arc<Grants>, protect_reads: bool) -> Self {
        Self { user: user.to_owned(), unlimited: false, grants, protect_reads }
    }

    /// Every right: for the development mode and for the program itself.
    pub fn unlimited(user: &str) -> Self {
        Self { user: user.to_owned(), unlimited: true, grants: Arc::default(), protect_reads: false }
    }

    fn allows(&self, action: Action, scope: Scope) -> bool {
        self.unlimited
            || self.grants.administrators.contains(&self.user)
            || self.grants.rights.get(&self.user).is_some_and(|rights| {
                rights.contains(&(action, Scope::Everything)) || rights.contains(&(action, scope))
            })
    }

    /// The proof of a right on a business, or the refusal.
    pub fn require<R: Right>(&self, business: BusinessId) -> Result<Granted<R>, Refusal> {
        match self.find(business) {
            Some(granted) => Ok(granted),
            None => Err(refusal(R::ACTION, Some(business))),
        }
    }

    /// The proof of a right on a business, if the caller has it. For what must look absent to everybody else.
    pub fn find<R: Right>(&self, business: BusinessId) -> Option<Granted<R>> {
        let allowed = self.allows(R::ACTION, Scope::One(business));
        allowed.then_some(Granted { business, right: PhantomData })
    }

    /// The proof of a right that belongs to no business.
    pub fn require_global<R: Right>(&self) -> Result<Granted<R>, Refusal> {
        if self.allows(R::ACTION, Scope::Everything) {
            return Ok(Granted { business: BusinessId(0), right: PhantomData });
        }
        Err(refusal(R::ACTION, None))
    }

    /// Where the caller has a right: on these businesses, or, without a list, on everything. Refused when it is nowhere.
    pub fn reach<R: Right>(&self) -> Result<Option<Vec<BusinessId>>, Refusal> {
        if self.allows(R::ACTION, Scope::Everything) {
            return Ok(None);
        }
        let rights = self.grants.rights.get(&self.user).into_iter().flatten();
        let mut businesses: Vec<_> = rights
            .filter_map(|right| match right {
                (action, Scope::One(business)) if *action == R::ACTION => Some(*business),
                _ => None,
            })
            .collect();
        businesses.sort_unstable();
        if businesses.is_empty() { Err(refusal(R::ACTION, None)) } else { Ok(Some(businesses)) }
    }

    /// Of reads that the original leaves open to every known caller: refused only where the store protects reads.
    pub fn may_read(&self, business: BusinessId) -> Result<(), Refusal> {
        if self.protect_reads { self.require::<right::FindBusinessResource>(business).map(|_| ()) } else { Ok(()) }
    }
}

fn refusal(action: Action, business: Option<BusinessId>) -> Refusal {
    let node = |kind: ResourceType| match kind {
        // What is in a business is named by it: its own id may not be the caller's to know.
        ResourceType::Business | ResourceType::ServiceTemplate | ResourceType::SetTemplate | ResourceType::Host => {
            business.map(|id| (ResourceType::Business, id.get()))
        }
        ResourceType::PoolDirectory | ResourceType::PoolHostDirectory => None,
    };
    let resources = action.resources().iter().map(|kind| (*kind, node(*kind))).collect();
    Refusal { needs: vec![RefusedNeed { action, resources }] }
}
