//! What a random caller asks for. Records are named by small numbers that stand for whatever there is when the request is
//! made, so that a list of operations stays meaningful while it shrinks; wrong ones of every kind come along.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Where a request enters.
#[derive(Debug, Clone, Copy)]
pub enum Door {
    Native,
    Gateway,
    Esb,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Step {
    pub door: Door,
    pub op: Op,
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub enum Pick {
    /// The n-th, counted round, of those that fit what else the request names; of all when none fits.
    Near(usize),
    /// The n-th of all, counted round.
    Any(usize),
    Unknown,
    Zero,
    Negative,
}

/// The business of a request.
#[derive(Debug, Clone, Copy)]
pub enum Biz {
    /// The one that the main record of the request is in.
    Fits,
    Any(usize),
    Unknown,
    Zero,
    Negative,
    Missing,
    Null,
    /// The fitting one as a text.
    Text,
}

/// What `bk_parent_id` says.
#[derive(Debug, Clone, Copy)]
pub enum Parent {
    Right,
    Wrong,
    Missing,
}

/// A host to add.
#[derive(Debug, Clone)]
pub struct HostIn {
    /// The addresses as sent; `None`: without the field.
    pub address: Option<&'static str>,
    pub comment: Option<&'static str>,
    /// Names a host by its id.
    pub id: Option<Pick>,
}

/// A process to make.
#[derive(Debug, Clone)]
pub struct ProcessIn {
    /// JSON; `""` leaves the field out, as in `func` and `param`.
    pub name: &'static str,
    pub func: &'static str,
    pub param: &'static str,
    /// Further fields with their JSON.
    pub more: Vec<(&'static str, &'static str)>,
}

/// A service instance to make.
#[derive(Debug, Clone)]
pub struct InstanceIn {
    pub host: Pick,
    pub name: Option<&'static str>,
    pub processes: Vec<ProcessIn>,
}

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub struct PageIn {
    pub start: i64,
    pub limit: i64,
    pub newest_first: bool,
}

/// A page that has to be there, in an order of the caller's.
#[derive(Debug, Clone, Copy)]
pub struct SortedPage {
    pub start: i64,
    pub limit: i64,
    pub sort: &'static str,
}

/// A process to change.
#[derive(Debug, Clone)]
pub struct UpdateIn {
    pub id: IdIn,
    pub process: ProcessIn,
}

/// How a process to change is named.
#[derive(Debug, Clone, Copy)]
pub enum IdIn {
    Is(Pick),
    /// As a text, which is none.
    Text(Pick),
    Missing,
}

/// Labels to give.
pub type LabelsIn = Vec<(&'static str, &'static str)>;

/// A condition on a label.
#[derive(Debug, Clone)]
pub struct SelectorIn {
    pub key: &'static str,
    pub operator: &'static str,
    pub values: Vec<&'static str>,
}

/// A list of instances with their processes.
#[derive(Debug, Clone)]
pub struct DetailsIn {
    pub business: Biz,
    pub module: Option<Pick>,
    pub host: Option<Pick>,
    pub hosts: Vec<Pick>,
    pub ids: Option<Vec<Pick>>,
    pub selectors: Vec<SelectorIn>,
    pub page: Option<PageIn>,
}

/// A search for processes with what belongs to them.
#[derive(Debug, Clone)]
pub struct RelatedIn {
    pub business: Biz,
    pub sets: Vec<Pick>,
    pub modules: Vec<Pick>,
    pub instances: Vec<Pick>,
    /// One of the filters of `searches`, by its place.
    pub filter: Option<usize>,
    pub fields: Vec<&'static str>,
    pub page: Option<SortedPage>,
}

/// A list of which a call carries a limited number.
#[derive(Debug, Clone, Copy)]
pub enum Limited {
    Updates,
    UpdatesById,
    DeletedProcesses,
    DeletedInstances,
    Renamed,
    LabelsAdded,
    LabelsRemoved,
    Details,
    Hosts,
}

/// An operation with its input.
#[derive(Debug, Clone)]
pub enum Op {
    CreateBusiness {
        name: &'static str,
    },
    CreateSet {
        business: Biz,
        name: &'static str,
        parent: Parent,
    },
    CreateModule {
        business: Biz,
        set: Pick,
        name: &'static str,
        parent: Parent,
        category: Option<i64>,
    },
    AddHosts {
        business: Biz,
        hosts: Vec<HostIn>,
    },
    AddHostsToResource {
        business: Biz,
        rows: Vec<HostIn>,
    },
    Transfer {
        business: Biz,
        hosts: Vec<Pick>,
        modules: Vec<Pick>,
        is_increment: bool,
    },
    TransferToIdle {
        business: Biz,
        hosts: Vec<Pick>,
    },
    TransferFromPool {
        business: Biz,
        hosts: Vec<Pick>,
    },
    CreateInstances {
        business: Biz,
        module: Option<Pick>,
        name: Option<&'static str>,
        instances: Vec<InstanceIn>,
    },
    /// More than a call may carry.
    TooManyInstances {
        count: usize,
    },
    CreateProcesses {
        business: Biz,
        instance: Pick,
        processes: Vec<ProcessIn>,
    },
    /// More than a call may carry.
    TooManyProcesses {
        count: usize,
    },
    ListInstances {
        business: Biz,
        module: Option<Pick>,
        hosts: Vec<Pick>,
        search: Option<&'static str>,
        selectors: Vec<SelectorIn>,
        page: Option<PageIn>,
    },
    ListInstancesOfHost {
        business: Biz,
        host: Pick,
        search: Option<&'static str>,
        selectors: Vec<SelectorIn>,
        page: Option<PageIn>,
    },
    ListInstancesOfSetTemplate {
        business: Biz,
        template: i64,
        page: Option<SortedPage>,
    },
    ListHostsWithout {
        business: Biz,
        module: Pick,
        hosts: Vec<Pick>,
    },
    ListDetails(DetailsIn),
    RenameInstances {
        business: Biz,
        /// Each with its `update`, as JSON.
        names: Vec<(Pick, &'static str)>,
    },
    DeleteInstances {
        business: Biz,
        instances: Vec<Pick>,
    },
    UpdateProcesses {
        business: Biz,
        /// The process whose instance and business are near.
        near: usize,
        entries: Vec<UpdateIn>,
    },
    /// Each process of an instance takes the names of the next one.
    TurnNames {
        business: Biz,
        near: usize,
    },
    /// The processes of an instance are sent back as they are.
    SendBack {
        business: Biz,
        near: usize,
    },
    UpdateById {
        business: Biz,
        near: usize,
        processes: Vec<Pick>,
        /// Fields with their JSON.
        data: Vec<(&'static str, &'static str)>,
    },
    DeleteProcesses {
        business: Biz,
        near: usize,
        processes: Vec<Pick>,
    },
    AddLabels {
        business: Biz,
        instances: Vec<Pick>,
        labels: Option<LabelsIn>,
    },
    RemoveLabels {
        business: Biz,
        instances: Vec<Pick>,
        keys: Vec<&'static str>,
    },
    ReplaceLabels {
        business: Biz,
        instances: Vec<Pick>,
        labels: Option<LabelsIn>,
    },
    AggregateLabels {
        business: Biz,
        module: Option<Pick>,
    },
    /// As many items as a call may carry, or one more.
    AtLimit {
        list: Limited,
        by: usize,
    },
    ListNames {
        business: Biz,
        module: Pick,
        name: Option<&'static str>,
        page: Option<SortedPage>,
    },
    ListDetailsById {
        business: Biz,
        near: usize,
        processes: Vec<Pick>,
        page: Option<SortedPage>,
    },
    ListDetailsOfBusiness {
        business: Biz,
        near: usize,
        processes: Vec<Pick>,
        fields: Vec<&'static str>,
    },
    ListRelated(RelatedIn),
    ListProcesses {
        business: Biz,
        instance: Pick,
    },
    ListHosts {
        business: Biz,
        sets: Vec<Pick>,
        modules: Vec<Pick>,
        page: Option<PageIn>,
    },
}

fn door() -> impl Strategy<Value = Door> {
    select(vec![Door::Native, Door::Gateway, Door::Esb])
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        24 => (0..8_usize).prop_map(Pick::Near),
        4 => (0..16_usize).prop_map(Pick::Any),
        1 => select(vec![Pick::Unknown, Pick::Zero, Pick::Negative]),
    ]
}

fn picks(size: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Pick>> {
    vec(pick(), size)
}

fn biz() -> impl Strategy<Value = Biz> {
    prop_oneof![
        24 => Just(Biz::Fits),
        2 => (0..5_usize).prop_map(Biz::Any),
        1 => select(vec![Biz::Unknown, Biz::Zero, Biz::Negative, Biz::Text]),
        2 => select(vec![Biz::Missing, Biz::Null]),
    ]
}

fn parent() -> impl Strategy<Value = Parent> {
    prop_oneof![16 => Just(Parent::Right), 1 => Just(Parent::Wrong), 1 => Just(Parent::Missing)]
}

fn node_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        20 => select(vec!["web", "db", " web ", "Web", "数据"]),
        1 => select(vec!["", " ", "a b", "a/b", "空闲机"]),
    ]
}

fn host() -> impl Strategy<Value = HostIn> {
    let good =
        vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.1.1,10.0.1.2", "10.0.1.2"];
    let address = prop_oneof![
        24 => select(good).prop_map(Some),
        1 => select(vec![Some("10.0.0"), Some(""), Some("10.0.0.1,"), None]),
    ];
    let id = prop_oneof![12 => Just(None), 1 => pick().prop_map(Some)];
    (address, option::of(select(vec!["", "rack 7", "spare"])), id).prop_map(|(address, comment, id)| HostIn {
        address,
        comment,
        id,
    })
}

/// Fields that a process may have.
const GOOD_FIELDS: &[(&str, &str)] = &[
    ("priority", "-100"),
    ("priority", "10000"),
    ("proc_num", "1"),
    ("proc_num", "null"),
    ("timeout", "0"),
    ("bk_start_check_secs", "600"),
    ("description", "\" two words \""),
    ("description", "null"),
    ("work_path", "\"/data/bkee\""),
    ("user", "\"root\""),
    ("start_cmd", "\"./start \\\"x\\\"\\n\""),
    ("auto_start", "true"),
    ("auto_start", "null"),
    ("bind_info", "null"),
    ("bind_info", "[]"),
    ("bind_info", r#"[{"enable":true,"ip":"127.0.0.1","port":"8008","protocol":"1","template_row_id":1}]"#),
    ("bind_info", r#"[{"ip":"::1"},{"port":" 80-90 ","protocol":"4","enable":false}]"#),
    ("bind_info", r#"{"enable":false,"ip":null,"port":"65535","protocol":"2","row_id":7}"#),
    ("port", "\"8008, 8443\""),
    ("port", "\"1-2\""),
    ("port", "\"\""),
    ("bind_ip", "\"3\""),
    ("bind_ip", "\"10.9.9.9\""),
    ("protocol", "\"2\""),
    ("bk_enable_port", "false"),
    ("bk_func_id", "\"f1\""),
    ("auto_time_gap", "60"),
    ("foo", "{}"),
    // What only the server says.
    ("bk_process_id", "1"),
    ("bk_biz_id", "1"),
    ("service_instance_id", "1"),
    ("bk_supplier_account", "\"x\""),
    ("create_time", "\"2000-01-01T00:00:00Z\""),
    ("bk_updated_by", "\"mallory\""),
];

/// Fields that make a process unacceptable.
const BAD_FIELDS: &[(&str, &str)] = &[
    ("priority", "-101"),
    ("priority", "1.5"),
    ("proc_num", "0"),
    ("proc_num", "\"2\""),
    ("timeout", "10001"),
    ("bk_start_check_secs", "601"),
    ("description", "5"),
    ("auto_start", "\"true\""),
    ("bind_info", "\"80\""),
    ("bind_info", "[1]"),
    ("bind_info", r#"[{"port":"90-80"}]"#),
    ("bind_info", r#"[{"port":"80,81"}]"#),
    ("bind_info", r#"[{"port":80}]"#),
    ("bind_info", r#"[{"port":"080"}]"#),
    ("bind_info", r#"[{"port":"65536"}]"#),
    ("bind_info", r#"[{"port":null}]"#),
    ("bind_info", r#"[{"protocol":"5"}]"#),
    ("bind_info", r#"[{"enable":null}]"#),
    ("bind_info", r#"[{"ip":"localhost"}]"#),
    ("bind_info", r#"[{"color":"red"}]"#),
    ("bind_info", r#"[{"row_id":1,"template_row_id":2}]"#),
    ("port", "\"8008,\""),
    ("port", "80"),
];

fn process() -> impl Strategy<Value = ProcessIn> {
    // Enough of them that most processes have names of their own, few enough that many clash.
    let good = [
        r#""nginx""#,
        r#""java""#,
        r#""redis""#,
        r#""Java""#,
        r#"" java ""#,
        r#""a\"名""#,
        r#""mysqld""#,
        r#""zookeeper""#,
        r#""kafka""#,
        r#""etcd""#,
        r#""gse_agent""#,
        r#""sshd""#,
        r#""cron""#,
        r#""ntpd""#,
    ];
    let text = move || prop_oneof![40 => select(good.to_vec()), 1 => select(vec!["", "null", r#""""#, r#"" ""#, "5"])];
    let param =
        prop_oneof![4 => Just(""), 2 => Just("null"), 4 => select(vec![r#""""#, r#""-a""#, r#"" -a ""#, r#""-b""#])];
    let field = prop_oneof![40 => select(GOOD_FIELDS), 1 => select(BAD_FIELDS)];
    (text(), text(), param, vec(field, 0..3)).prop_map(|(name, func, param, more)| ProcessIn {
        name,
        func,
        param,
        more,
    })
}

fn processes(size: std::ops::Range<usize>) -> impl Strategy<Value = Vec<ProcessIn>> {
    prop_oneof![20 => vec(process(), size), 1 => Just(Vec::new())]
}

/// 257 bytes.
pub const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

fn instance() -> impl Strategy<Value = InstanceIn> {
    let name = prop_oneof![
        4 => Just(None),
        1 => Just(Some("")),
        4 => select(vec![Some("mine"), Some(" "), Some("名\"字")]),
    ];
    let name = prop_oneof![30 => name, 1 => Just(Some(LONG))];
    (pick(), name, processes(1..3)).prop_map(|(host, name, processes)| InstanceIn { host, name, processes })
}

fn page() -> impl Strategy<Value = PageIn> {
    let start = prop_oneof![20 => 0..6_i64, 1 => Just(-1)];
    let limit = prop_oneof![20 => 1..6_i64, 1 => select(vec![0, -1, 1000, 1001])];
    (start, limit, any::<bool>()).prop_map(|(start, limit, newest_first)| PageIn { start, limit, newest_first })
}

/// A list that is empty now and then.
fn some<T: std::fmt::Debug + Clone>(
    item: impl Strategy<Value = T>,
    size: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![12 => vec(item, size), 1 => Just(Vec::new())]
}

/// Mostly a module.
fn module() -> impl Strategy<Value = Option<Pick>> {
    prop_oneof![12 => pick().prop_map(Some), 1 => Just(None)]
}

fn topology_op() -> impl Strategy<Value = Op> {
    let name = prop_oneof![
        8 => select(vec!["alpha", "beta", " alpha ", "Alpha"]),
        1 => select(vec!["", "蓝鲸", "资源池"]),
    ];
    let category = option::weighted(0.2, select(vec![0, 2, 4, 99, -1]));
    let rest = (biz(), some(pick(), 1..4), some(pick(), 1..3), any::<bool>());
    prop_oneof![
        2 => name.prop_map(|name| Op::CreateBusiness { name }),
        4 => (biz(), node_name(), parent())
            .prop_map(|(business, name, parent)| Op::CreateSet { business, name, parent }),
        6 => (biz(), pick(), node_name(), parent(), category).prop_map(|(business, set, name, parent, category)| {
            Op::CreateModule { business, set, name, parent, category }
        }),
        5 => (biz(), some(host(), 1..4)).prop_map(|(business, hosts)| Op::AddHosts { business, hosts }),
        3 => (biz(), vec(host(), 1..4)).prop_map(|(business, rows)| Op::AddHostsToResource { business, rows }),
        10 => rest.prop_map(|(business, hosts, modules, is_increment)| {
            Op::Transfer { business, hosts, modules, is_increment }
        }),
        2 => (biz(), some(pick(), 1..3)).prop_map(|(business, hosts)| Op::TransferToIdle { business, hosts }),
        2 => (biz(), vec(pick(), 1..3)).prop_map(|(business, hosts)| Op::TransferFromPool { business, hosts }),
    ]
}

fn instance_op() -> impl Strategy<Value = Op> {
    let name = option::weighted(0.2, select(vec!["top", ""]));
    let create = (biz(), module(), name, some(instance(), 1..4));
    let update = prop_oneof![
        40 => select(vec![r#"{"name":"mine"}"#, r#"{"name":" "}"#, r#"{"name":"10.0.0.1_\"名\""}"#]),
        1 => select(vec!["{}", "null", r#"{"name":""}"#, r#"{"name":5}"#, r#"{"name":null}"#, r#"{"labels":{}}"#,
            r#"{"name":"x","labels":{}}"#]),
    ];
    prop_oneof![
        14 => create.prop_map(|(business, module, name, instances)| {
            Op::CreateInstances { business, module, name, instances }
        }),
        12 => (biz(), pick(), processes(1..4)).prop_map(|(business, instance, processes)| {
            Op::CreateProcesses { business, instance, processes }
        }),
        3 => (biz(), some((pick(), update), 1..4)).prop_map(|(business, names)| {
            Op::RenameInstances { business, names }
        }),
        2 => (biz(), some(pick(), 1..3)).prop_map(|(business, instances)| Op::DeleteInstances { business, instances }),
        1 => select(vec![Op::TooManyInstances { count: 100 }, Op::TooManyInstances { count: 101 },
            Op::TooManyProcesses { count: 100 }, Op::TooManyProcesses { count: 101 }]),
    ]
}

/// Few keys and values, so that selectors meet what is there.
fn labels() -> impl Strategy<Value = LabelsIn> {
    let label = (select(vec!["env", "app", "a.b"]), select(vec!["prod", "test", "1.0"]));
    let bad = select(vec![("9a", "x"), ("a-", "x"), ("env", ""), ("env", LONG), ("env", "-x"), ("名", "x")]);
    vec(prop_oneof![40 => label, 1 => bad], 0..3)
}

fn selector() -> impl Strategy<Value = SelectorIn> {
    let value = || select(vec!["prod", "test", "1.0", ""]);
    let good = prop_oneof![
        (select(vec!["=", "!="]), vec(value(), 1..2)),
        (select(vec!["in", "notin"]), vec(value(), 1..3)),
        (select(vec!["exists", "!"]), vec(value(), 0..1)),
    ];
    let bad =
        select(vec![("=", vec![]), ("!=", vec!["a", "b"]), ("in", vec![]), ("exists", vec!["a"]), ("like", vec!["a"])]);
    let key = prop_oneof![40 => select(vec!["env", "app", "a.b", "none"]), 1 => select(vec!["-a", "", "a/b"])];
    (key, prop_oneof![40 => good, 1 => bad]).prop_map(|(key, (operator, values))| SelectorIn { key, operator, values })
}

fn selectors() -> impl Strategy<Value = Vec<SelectorIn>> {
    prop_oneof![1 => Just(Vec::new()), 2 => vec(selector(), 1..3)]
}

fn label_op() -> impl Strategy<Value = Op> {
    let keys = vec(select(vec!["env", "app", "a.b", "none", "-"]), 0..3);
    let maybe_labels = || option::weighted(0.9, labels());
    prop_oneof![
        4 => (biz(), some(pick(), 1..4), maybe_labels()).prop_map(|(business, instances, labels)| {
            Op::AddLabels { business, instances, labels }
        }),
        2 => (biz(), some(pick(), 1..4), keys).prop_map(|(business, instances, keys)| {
            Op::RemoveLabels { business, instances, keys }
        }),
        2 => (biz(), some(pick(), 1..4), maybe_labels()).prop_map(|(business, instances, labels)| {
            Op::ReplaceLabels { business, instances, labels }
        }),
        2 => (biz(), module()).prop_map(|(business, module)| Op::AggregateLabels { business, module }),
    ]
}

/// What only a change of a process can get wrong.
const BAD_UPDATES: &[(&str, &str)] = &[("create_time", "\"2019-06-05 14:59:12\""), ("bk_supplier_account", "5")];

fn update() -> impl Strategy<Value = UpdateIn> {
    let id = prop_oneof![
        60 => pick().prop_map(IdIn::Is),
        1 => pick().prop_map(IdIn::Text),
        1 => Just(IdIn::Missing),
    ];
    let worse = option::weighted(0.02, select(BAD_UPDATES));
    (id, process(), worse).prop_map(|(id, mut process, worse)| {
        process.more.extend(worse);
        UpdateIn { id, process }
    })
}

fn process_op() -> impl Strategy<Value = Op> {
    let near = || 0..24_usize;
    let names = select(vec![
        ("bk_process_name", r#"" nginx ""#),
        ("bk_process_name", r#""alone""#),
        ("bk_func_name", r#""nginx""#),
        ("bk_func_name", "null"),
        ("bk_start_param_regex", "null"),
        ("bk_start_param_regex", r#""-b""#),
    ]);
    let field = prop_oneof![
        12 => select(GOOD_FIELDS.iter().copied().filter(|(key, _)| *key != "bk_process_id").collect::<Vec<_>>()),
        5 => names,
        1 => select(BAD_FIELDS),
        1 => select(vec![("bk_process_id", "1"), ("create_time", "5")]),
    ];
    prop_oneof![
        8 => (biz(), near(), some(update(), 1..4)).prop_map(|(business, near, entries)| {
            Op::UpdateProcesses { business, near, entries }
        }),
        2 => (biz(), near()).prop_map(|(business, near)| Op::TurnNames { business, near }),
        2 => (biz(), near()).prop_map(|(business, near)| Op::SendBack { business, near }),
        8 => (biz(), near(), some(pick(), 1..4), some(field, 1..4)).prop_map(|(business, near, processes, data)| {
            Op::UpdateById { business, near, processes, data }
        }),
        5 => (biz(), near(), some(pick(), 1..4)).prop_map(|(business, near, processes)| {
            Op::DeleteProcesses { business, near, processes }
        }),
        1 => (select(LIMITED), 0..2_usize).prop_map(|(list, by)| Op::AtLimit { list, by }),
    ]
}

const LIMITED: &[Limited] = &[
    Limited::Updates,
    Limited::UpdatesById,
    Limited::DeletedProcesses,
    Limited::DeletedInstances,
    Limited::Renamed,
    Limited::LabelsAdded,
    Limited::LabelsRemoved,
    Limited::Details,
    Limited::Hosts,
];

fn sorted_page(sorts: &'static [&'static str]) -> impl Strategy<Value = Option<SortedPage>> {
    let start = prop_oneof![30 => 0..4_i64, 1 => Just(-1)];
    let limit = prop_oneof![30 => 1..5_i64, 8 => select(vec![1000, 999_999_999]), 1 => select(vec![0, -1, 1001])];
    let page = (start, limit, select(sorts)).prop_map(|(start, limit, sort)| SortedPage { start, limit, sort });
    option::weighted(0.97, page)
}

/// Orders of processes.
const SORTS: &[&str] =
    &["", "bk_process_id", "-bk_process_id", "bk_process_name:-1", "+bk_process_name", "priority,-bk_process_name"];

fn search_op() -> impl Strategy<Value = Op> {
    let near = || 0..24_usize;
    let name = option::weighted(0.5, select(vec!["", "G", "gin", "o", "(", "none"]));
    let fields = || {
        let field = select(vec!["bk_process_id", "bk_func_name", "bind_info", "bk_updated_by", "bk_func_id", "none"]);
        prop_oneof![Just(Vec::new()), vec(field, 1..4)]
    };
    let narrow =
        (prop_oneof![3 => Just(Vec::new()), 1 => picks(1..3)], prop_oneof![2 => Just(Vec::new()), 1 => picks(1..3)]);
    let instances = prop_oneof![3 => Just(Vec::new()), 1 => picks(1..4)];
    let filter = option::weighted(0.7, 0..crate::searches::FILTERS);
    let related = (biz(), narrow, instances, filter, fields(), sorted_page(SORTS));
    prop_oneof![
        (biz(), pick(), name, sorted_page(&["", "bk_process_name", "-bk_process_name", "bk_process_id"]))
            .prop_map(|(business, module, name, page)| Op::ListNames { business, module, name, page }),
        (biz(), near(), some(pick(), 1..6), sorted_page(SORTS))
            .prop_map(|(business, near, processes, page)| { Op::ListDetailsById { business, near, processes, page } }),
        (biz(), near(), some(pick(), 1..6), fields()).prop_map(|(business, near, processes, fields)| {
            Op::ListDetailsOfBusiness { business, near, processes, fields }
        }),
        related.prop_map(|(business, (sets, modules), instances, filter, fields, page)| {
            Op::ListRelated(RelatedIn { business, sets, modules, instances, filter, fields, page })
        }),
    ]
}

fn list_op() -> impl Strategy<Value = Op> {
    let search = || option::weighted(0.5, select(vec!["", "10.0", "nginx", "mine", "(", "_"]));
    let host = option::weighted(0.1, pick());
    let ids = option::weighted(0.3, picks(0..4));
    let page_or_none = || option::weighted(0.9, page());
    let good_page = (0..4_i64, 0..4_i64, any::<bool>());
    let good_page = good_page.prop_map(|(start, limit, newest_first)| PageIn { start, limit, newest_first });
    prop_oneof![
        2 => (biz(), module(), picks(0..3), search(), selectors(), option::of(page())).prop_map(
            |(business, module, hosts, search, selectors, page)| {
                Op::ListInstances { business, module, hosts, search, selectors, page }
            }
        ),
        2 => (biz(), module(), host, picks(0..2), ids, selectors(), page_or_none()).prop_map(
            |(business, module, host, hosts, ids, selectors, page)| {
                Op::ListDetails(DetailsIn { business, module, host, hosts, ids, selectors, page })
            }
        ),
        2 => (biz(), pick(), search(), selectors(), option::of(good_page)).prop_map(
            |(business, host, search, selectors, page)| {
                Op::ListInstancesOfHost { business, host, search, selectors, page }
            }
        ),
        1 => (biz(), 0..2_i64, sorted_page(&[""])).prop_map(|(business, template, page)| {
            Op::ListInstancesOfSetTemplate { business, template, page }
        }),
        2 => (biz(), pick(), picks(0..3)).prop_map(|(business, module, hosts)| {
            Op::ListHostsWithout { business, module, hosts }
        }),
        2 => (biz(), pick()).prop_map(|(business, instance)| Op::ListProcesses { business, instance }),
        2 => (biz(), picks(0..3), picks(0..3), page_or_none())
            .prop_map(|(business, sets, modules, page)| { Op::ListHosts { business, sets, modules, page } }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => topology_op(),
        30 => instance_op(),
        24 => process_op(),
        10 => label_op(),
        12 => list_op(),
        12 => search_op(),
    ]
}

/// Any request.
pub fn step() -> impl Strategy<Value = Step> {
    (door(), op()).prop_map(|(door, op)| Step { door, op })
}

/// What makes an estate worth talking about: two businesses with sets, modules and hosts in them.
fn beginning() -> Vec<Step> {
    let host = |address| HostIn { address: Some(address), comment: None, id: None };
    let process = |name| ProcessIn { name, func: name, param: "", more: Vec::new() };
    let instances = |module| Op::CreateInstances {
        business: Biz::Fits,
        module: Some(Pick::Near(module)),
        name: None,
        instances: vec![InstanceIn { host: Pick::Near(0), name: None, processes: vec![process(r#""first""#)] }],
    };
    let ops = [
        Op::CreateBusiness { name: "alpha" },
        Op::CreateSet { business: Biz::Any(2), name: "web", parent: Parent::Right },
        Op::CreateModule {
            business: Biz::Fits,
            set: Pick::Near(0),
            name: "web",
            parent: Parent::Right,
            category: None,
        },
        Op::CreateModule {
            business: Biz::Fits,
            set: Pick::Near(0),
            name: "db",
            parent: Parent::Right,
            category: Some(4),
        },
        Op::CreateSet { business: Biz::Any(1), name: "web", parent: Parent::Right },
        Op::CreateModule {
            business: Biz::Fits,
            set: Pick::Near(1),
            name: "web",
            parent: Parent::Right,
            category: None,
        },
        Op::AddHosts {
            business: Biz::Any(2),
            hosts: vec![host("10.0.0.1"), host("10.0.0.2"), host("10.0.1.1,10.0.1.2")],
        },
        Op::AddHosts { business: Biz::Any(1), hosts: vec![host("10.0.0.3")] },
        Op::Transfer {
            business: Biz::Any(2),
            hosts: vec![Pick::Near(0), Pick::Near(1)],
            modules: vec![Pick::Near(0), Pick::Near(1)],
            is_increment: false,
        },
        Op::Transfer {
            business: Biz::Any(1),
            hosts: vec![Pick::Near(0)],
            modules: vec![Pick::Near(0)],
            is_increment: false,
        },
        instances(0),
        instances(1),
        instances(2),
    ];
    ops.into_iter().map(|op| Step { door: Door::Native, op }).collect()
}

/// A list of requests: mostly a small estate first, then anything.
pub fn steps(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    // Flags instead of the steps themselves, so that each of them can shrink away.
    let kept = vec(proptest::bool::weighted(0.98), beginning().len());
    (kept, vec(step(), 1..longest)).prop_map(|(kept, then)| {
        let begun = beginning().into_iter().zip(kept).filter_map(|(step, kept)| kept.then_some(step));
        begun.chain(then).collect()
    })
}
