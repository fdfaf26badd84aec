//! Ids as types of their own: a function that wants a module cannot be given a set.

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl $name {
            /// The number on the wire and in the store.
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A business (`bk_biz_id`).
    BusinessId;
    /// A set of modules in a business (`bk_set_id`).
    SetId;
    /// A module of a set (`bk_module_id`).
    ModuleId;
    /// A host (`bk_host_id`).
    HostId;
    /// One module's service on one host.
    ServiceInstanceId;
    /// One process of a service instance (`bk_process_id`).
    ProcessId;
    /// A service category.
    CategoryId;
    /// A service template.
    ServiceTemplateId;
    /// A set template.
    SetTemplateId;
    /// A process template of a service template.
    ProcessTemplateId;
    /// An attribute that a template fixes.
    TemplateAttributeId;
    /// A synchronization as a job.
    JobId;
    /// A cloud area (`bk_cloud_id`).
    CloudAreaId;
}

impl BusinessId {
    /// The resource pool, made with every store: hosts of nobody live there.
    pub const POOL: BusinessId = BusinessId(1);
    /// The platform's own business 蓝鲸, made with every store.
    pub const PLATFORM: BusinessId = BusinessId(2);
}

impl CategoryId {
    /// The built-in category of every module that names none.
    pub const DEFAULT: CategoryId = CategoryId(2);
}

/// The one tenant there is (`gateway` 9.2).
pub const SUPPLIER_ACCOUNT: &str = "0";
