//! What can be wrong with a request, as values. No numbers and no sentences here: the wire gives each [`Cause`] its number and
//! each [`Reason`] its words in both languages.

use crate::json::FieldPath;

/// What kind of wrong it is. One variant per number of the contract (`gateway` 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The body is not JSON, or a typed field holds another type.
    BodyUndecodable,
    /// The body could not be read in full.
    BodyUnreadable,
    /// The input as a whole is of no use.
    InputInvalid,
    /// A value fails a check.
    ParamInvalid,
    /// A value that had to be an integer is none (ids in paths).
    NotInteger,
    /// A field that may not be left out is.
    Omitted,
    /// A value that is needed is missing, or a list that may not be empty is.
    NotSet,
    /// A value cannot be used or names nothing.
    ParamUnusable,
    /// A unique rule is violated.
    Duplicate,
    /// A record the request needs does not exist.
    NotFound,
    /// A change was asked for and nothing usable said what to change.
    NothingToChange,
    /// What is looked for was not named.
    NothingNamed,
    /// More items than one call may carry. Further argument: the most it may.
    TooMany,
    /// More records than one operation may touch. Further argument: the most it may.
    TooManyRecords,
    /// A list is empty or too long. Further argument: the most it may hold.
    LengthIllegal,
    /// The page is not acceptable.
    PageIllegal,
    /// The record is built in.
    BuiltInRecord,
    /// Other records stand below the record.
    HasChildren,
    /// Other records refer to the record.
    InUse,
    /// The caller did not say who they are.
    CallerMissing,
    /// No such route, or not with this method.
    RouteUnknown,
    /// The caller lacks the right.
    NoPermission,
    /// The server has more waiting writes than it takes.
    TooBusy,
    /// A read took longer than it may.
    ReadTimeout,
    /// A write took longer than it may.
    WriteTimeout,
    /// A write may have been kept or not: the store was lost while it was committing.
    OutcomeUnknown,
    /// The store could not read.
    StorageRead,
    /// The store could not write.
    StorageWrite,
    /// A stored record has an unexpected shape.
    StoredUnreadable,
    /// A defect of this program.
    Internal,
    /// An error without a number of its own.
    Unexpected,
    /// A business could not be read, or has no idle module.
    BusinessUnreadable,
    /// A set could not be found among those of its template.
    SetUnreadable,
    /// A module could not be found.
    ModuleUnreadable,
    /// A transfer names a module that is not there.
    TargetModuleAbsent,
    /// Modules of a set made from a set template come from that template only.
    SetOwnedByTemplate,
    /// A built-in set or module may not be changed.
    BuiltInProtected,
    /// A field has its value for good, or from a template.
    FieldFixed,
    /// Hosts are in what was to be removed.
    HasHosts,
    /// The category of a module that follows a template is the template's.
    ModuleCategoryOwnedByTemplate,
    /// The name of a module that follows a template is the template's.
    ModuleNameOwnedByTemplate,
    /// A set of this name exists under the same parent.
    SetNameTaken,
    /// Hosts could not be added.
    HostsNotAdded,
    /// A host could not be put into a module.
    HostNotPlaced,
    /// The target business is archived.
    BusinessArchived,
    /// The host is in the pool already.
    HostInPool,
    /// Hosts are not in the module they should be in.
    HostsNotInModule,
    /// Hosts belong to another business. Further argument: the business.
    HostsNotInBusiness,
    /// Modules belong to another business. Further argument: the business.
    ModuleNotInBusiness,
    /// A built-in module was combined with others.
    BuiltInModuleMixed,
    /// The business does not exist.
    BusinessAbsent,
    /// Built-in modules have a transfer of their own.
    UseBuiltInTransfer,
    /// A process template of this name is in the service template already.
    ProcessNameTaken,
    /// A process template of this program with this start parameter is in the service template already.
    FuncNameTaken,
    /// Process templates could not be removed.
    ProcessTemplatesNotRemoved,
    /// Synchronizations could not be listed.
    JobsUnreadable,
    /// The host has an instance of the module's template already.
    InstanceExists,
    /// A service template could not be removed.
    ServiceTemplateNotRemoved,
    /// A service category of this name stands where the name has to be the only one.
    CategoryNameTaken,
    /// A category was chosen that is not that of the service template.
    CategoryOfTemplate,
    /// Where hosts are could not be told, for the module is not there.
    RelationUnreadable,
    /// A module could not be let go of its service template.
    NotUnbound,
    /// A service category that others stand below was chosen.
    CategoryNotLeaf,
    /// Processes of an instance made from a template come from that template only.
    InstanceOwnedByTemplate,
    /// A process that its template owns may not be removed by hand.
    ProcessOwnedByTemplate,
    /// Instances could not be made to follow their template.
    NotSynchronized,
    /// A module follows another template than the one in question, or none.
    TemplatesDiffer,
    /// A job of the same target is not ended yet.
    JobUnderWay,
}

/// Why exactly, for the message. Values quoted here are cut, see [`quoted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Not JSON at all.
    Syntax { line: usize, column: usize },
    /// Too many lists and objects inside each other.
    TooDeep { limit: usize },
    /// A NUL character or half of a surrogate pair.
    BadText,
    /// Another type of value is wanted.
    WrongType { want: &'static str, got: &'static str },
    /// A text must be there.
    NeedsText,
    /// A whole number must be there.
    NeedsInteger,
    /// `true` or `false` must be there.
    NeedsBool,
    /// A time with its zone must be there.
    NeedsTime,
    /// A list of objects must be there.
    NeedsRows,
    /// An object must be there.
    NeedsObject,
    /// Nothing but blanks, or null, where a value is needed.
    Blank,
    /// Outside of the numbers allowed, both ends included.
    Range { min: i64, max: i64 },
    /// Fewer or more items than allowed, both ends included.
    Count { min: usize, max: usize },
    /// Longer than so many bytes.
    TooLong { max_bytes: usize },
    /// Not one of the values allowed.
    NoChoice { value: String, choices: &'static str },
    /// Not one port, nor one range of ports.
    PortSyntax { value: String },
    /// A port range that ends before it begins.
    PortOrder { value: String },
    /// Ports and ranges of which some are named twice.
    PortOverlap { value: String },
    /// An address and a protocol of different families.
    FamilyMismatch,
    /// Blanks at the beginning or the end.
    OuterBlanks { value: String },
    /// Neither an IPv4 nor an IPv6 address.
    IpSyntax { value: String },
    /// Characters that are not allowed there.
    Characters { value: String },
    /// A key that has no meaning there.
    UnknownKey,
    /// `row_id` and `template_row_id` of one row differ.
    RowIdsDiffer,
    /// The value clashes with one that is stored already.
    Taken { value: String },
    /// The value clashes with another one of the same request.
    TakenInRequest { value: String, other: FieldPath },
    /// Two fields that exclude each other were both given.
    Exclusive { other: &'static str },
    /// The record belongs to another business.
    OtherBusiness,
    /// Nothing in the request tells the business.
    NothingToDeriveFrom,
    /// More rows than are answered without a page; the caller must ask for one.
    NeedsPage { max: usize },
    /// Neither a group of rules nor a rule.
    NeedsCondition,
    /// No date and no time.
    TimeSyntax { value: String },
    /// This release does not do it yet.
    NotSupportedYet,
    /// Names of records, ids, addresses: a list for people.
    These { what: String },
    /// Of records that are not there.
    Absent { value: String },
    /// A record that follows no template.
    FollowsNoTemplate,
    /// A service template without any process template.
    NoProcessTemplates,
    /// A job that is over, or one that is not.
    JobIsOver { is_over: bool },
    /// More than this.
    TooMany { max: usize },
    /// Longer than so many characters.
    TooManyCharacters { max: usize },
    /// Records of this kind refer to it.
    UsedBy(Referrer),
}

/// What refers to a record that must stay for its sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referrer {
    ServiceCategory,
    ServiceTemplate,
    Set,
    Module,
    ServiceInstance,
}

/// One wrong thing: what, where, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub cause: Cause,
    /// Where in the request.
    pub path: FieldPath,
    /// What the message names instead of the path, when the contract fixes a name.
    pub name: Option<String>,
    /// Further arguments of the message.
    pub more: Vec<String>,
    pub reason: Option<Reason>,
}

impl Fault {
    /// A fault at a place.
    pub fn new(cause: Cause, path: impl Into<FieldPath>) -> Self {
        Self { cause, path: path.into(), name: None, more: Vec::new(), reason: None }
    }

    /// Of a value that names a record which is not there, or which the caller may not know of.
    pub fn absent(cause: Cause, path: impl Into<FieldPath>, value: impl ToString) -> Self {
        Self::new(cause, path).because(Reason::Absent { value: value.to_string() })
    }

    /// Whether the value is of another type than its field. Where a request is decoded into typed fields that is a fault of the body.
    pub fn is_about_type(&self) -> bool {
        matches!(
            self.reason,
            Some(
                Reason::NeedsText
                    | Reason::NeedsInteger
                    | Reason::NeedsBool
                    | Reason::NeedsRows
                    | Reason::NeedsObject
                    | Reason::NeedsTime
            )
        )
    }

    /// With the reason why.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// With the name that the message gives instead of the path.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// With one more argument of the message.
    #[must_use]
    pub fn with(mut self, argument: impl ToString) -> Self {
        self.more.push(argument.to_string());
        self
    }
}

/// Why a request was refused as a whole: never empty, every bad item in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    faults: Vec<Fault>,
    /// JSON text that goes into `data` beside the error, where the contract wants it.
    data: Option<String>,
}

impl Failure {
    /// All faults of a stage; `Ok` when there is none.
    pub fn check(faults: Vec<Fault>) -> Result<(), Failure> {
        if faults.is_empty() { Ok(()) } else { Err(Failure { faults, data: None }) }
    }

    /// The fault whose number the answer carries: a clash if there is any, else the first (`instances` D8).
    pub fn primary(&self) -> &Fault {
        let clash = self.faults.iter().find(|fault| fault.cause == Cause::Duplicate);
        clash.unwrap_or(&self.faults[0])
    }

    /// Every fault, in the order of the request.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// With JSON text for `data`.
    #[must_use]
    pub fn with_data(mut self, json: String) -> Self {
        self.data = Some(json);
        self
    }

    /// JSON text for `data`, if the answer carries any.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault], data: None }
    }
}

/// A caller's value for a message: at most 64 characters of it.
pub fn quoted(value: &str) -> String {
    match value.char_indices().nth(64) {
        Some((cut, _)) => format!("{}…", &value[..cut]),
        None => value.to_owned(),
    }
}

/// A list of things for a message: the first twenty and how many more.
pub fn listed<T: ToString>(things: &[T]) -> String {
    let mut text = things.iter().take(20).map(T::to_string).collect::<Vec<_>>().join(",");
    if things.len() > 20 {
        text.push_str(&format!(",… ({})", things.len()));
    }
    text
}
