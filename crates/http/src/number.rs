//! The one place where causes become numbers and sentences, in English and Chinese (`gateway` §7).

use crate::language::Language;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, Referrer};

/// Of refusals for lack of a right.
pub const NO_PERMISSION: i64 = 9_900_403;
/// A caller's token, or the user it should name, is not accepted at the gateway door.
pub const CALLER_NOT_ACCEPTED: i64 = 1_100_004;

/// The most faults a message spells out.
const SPELLED_OUT: usize = 20;

/// Makes [`describe`] and [`CAUSES`] of one list, so that no cause is forgotten in either.
macro_rules! numbers {
    (match cause { $($cause:ident => $described:expr,)* }) => {
        /// The number of a cause, and its message in English and Chinese. `{0}` is the field, `{1}` the first further argument.
        pub fn describe(cause: Cause) -> (i64, &'static str, &'static str) {
            match cause {
                $(Cause::$cause => $described,)*
            }
        }

        /// Every cause there is.
        pub const CAUSES: &[Cause] = &[$(Cause::$cause),*];
    };
}

numbers! {
    match cause {
        BodyUndecodable => (1_199_000, "the request body cannot be decoded: {0}", "请求体无法解析：{0}"),
        BodyUnreadable => (1_199_004, "the request body cannot be read: {0}", "请求体读取出错：{0}"),
        InputInvalid => (1_199_003, "the input is not acceptable: {0}", "传入内容不可用：{0}"),
        ParamInvalid => (1_199_006, "parameter {0} failed validation", "参数 {0} 校验未通过"),
        Omitted => (1_199_008, "{0} cannot be left out", "{0} 不能缺省"),
        NotInteger => (1_199_009, "{0} must be an integer", "{0} 应为整数"),
        NotSet => (1_199_010, "{0} is not set", "{0} 未设置"),
        ParamUnusable => (1_199_011, "{0} is invalid or does not exist", "{0} 不可用或不存在"),
        // Installers look for these English words.
        Duplicate => (1_199_014, "duplicated instances exist: unique fields {0} duplicated", "唯一字段 {0} 的值重复"),
        NothingToChange => (1_199_005, "the request says nothing usable to change: {0}", "请求没有可用的修改内容：{0}"),
        NothingNamed => (1_199_017, "nothing is named to look for: {0}", "未指明要查询的内容：{0}"),
        NotFound => (1_199_019, "record not found: {0}", "记录不存在：{0}"),
        CallerMissing => (1_199_027, "caller information {0} is missing", "缺少调用者信息 {0}"),
        TooMany => (1_199_035, "{0} is over the limit of {1}", "{0} 超过上限 {1}"),
        TooManyRecords => (1_199_081, "{0} holds more than the {1} records of one call", "{0} 超过单次操作的上限 {1} 条"),
        LengthIllegal => (1_199_089, "{0} must hold 1 to {1} items", "{0} 的长度应为 1 到 {1}"),
        RouteUnknown => (1_199_045, "no such operation: {0}", "没有这个接口：{0}"),
        BuiltInRecord => (1_199_054, "{0} is built in and cannot be changed", "{0} 为内置数据，不能操作"),
        HasChildren => (1_199_055, "{0} has records below it and cannot be removed", "{0} 下还有记录，不能删除"),
        InUse => (1_199_056, "{0} is in use and cannot be removed", "{0} 正在使用，不能删除"),
        FieldFixed => (1_199_083, "{0} cannot be changed", "{0} 不允许修改"),
        PageIllegal => (1_199_059, "page.start or page.limit is not acceptable", "分页参数不可用"),
        OutcomeUnknown => (
            1_199_902,
            "the store was lost while it was committing; read before you write again, the change may have been made",
            "提交时与存储的连接中断，变更可能已生效，请先查询再重试"
        ),
        ReadTimeout => (1_199_901, "the read took longer than {1} ms", "读取超过 {1} 毫秒"),
        WriteTimeout => (1_199_901, "the write took longer than {1} ms", "写入超过 {1} 毫秒"),
        TooBusy => (1_199_997, "too many requests are waiting, try again", "等待处理的请求过多，请重试"),
        Unexpected => (1_199_998, "unexpected error: {0}", "未知错误：{0}"),
        Internal => (1_199_999, "internal error", "内部错误"),
        NoPermission => (NO_PERMISSION, "no permission for this operation", "您没有执行此操作的权限"),
        StorageRead => (1_199_017, "the store cannot be read", "存储读取出错"),
        StorageWrite => (1_199_018, "the store cannot be written", "存储写入出错"),
        StoredUnreadable => (1_199_013, "a stored record cannot be read", "存储的记录无法读取"),
        BusinessUnreadable => (1_101_033, "cannot read business {0}", "读取业务 {0} 出错"),
        SetUnreadable => (1_101_011, "cannot read set {0}", "读取集群 {0} 出错"),
        ModuleUnreadable => (1_101_034, "cannot read module: {0}", "读取模块出错：{0}"),
        TargetModuleAbsent => (1_101_080, "target module {0} does not exist", "目标模块 {0} 不存在"),
        HasHosts => (1_101_030, "{0} has hosts in it and cannot be removed", "{0} 下有主机，不能删除"),
        ModuleCategoryOwnedByTemplate => (
            1_101_090,
            "the service category of a module that follows a service template is the template's: {0}",
            "由服务模板创建的模块不能修改服务分类：{0}",
        ),
        ModuleNameOwnedByTemplate => (
            1_101_091,
            "the name of a module that follows a service template is the template's: {0}",
            "由服务模板创建的模块不能修改模块名：{0}",
        ),
        SetOwnedByTemplate => {
            (1_101_097, "the modules of this set are owned by its template", "该集群的模块由集群模板管理")
        },
        BuiltInProtected => (1_101_098, "{0} is built in and cannot be changed", "{0} 为内置数据，不能操作"),
        SetNameTaken => (1_101_108, "set name is taken: {0}", "集群名已被使用：{0}"),
        ServiceTemplateNotRemoved => (1_108_030, "service template {0} cannot be removed", "服务模板 {0} 删除出错"),
        InstanceOwnedByTemplate => {
            (1_108_035, "the processes of {0} come from its template", "{0} 的进程由模板管理，不能直接新建")
        },
        HostsNotAdded => (1_110_004, "hosts cannot be added: {0}", "主机新增出错：{0}"),
        HostNotPlaced => (1_110_030, "hosts cannot be put into the module: {0}", "主机加入模块出错：{0}"),
        BusinessArchived => (1_110_031, "business {0} is archived", "业务 {0} 已归档"),
        HostInPool => (1_110_052, "the hosts are in the pool already: {0}", "主机已在主机池：{0}"),
        HostsNotInModule => (1_110_056, "hosts not in the required module: {0}", "以下主机不在要求的模块中：{0}"),
        HostsNotInBusiness => (1_113_002, "hosts {0} are not in business {1}", "主机 {0} 不在业务 {1} 中"),
        ModuleNotInBusiness => (1_113_004, "module {0} is not in business {1}", "模块 {0} 不在业务 {1} 中"),
        BuiltInModuleMixed => {
            (1_113_005, "a built-in module cannot be combined with others: {0}", "内置模块不能与其他模块一起选择：{0}")
        },
        BusinessAbsent => (1_113_006, "business {0} does not exist", "业务 {0} 不存在"),
        InstanceExists => (
            1_113_016,
            "the host of {0} has an instance of the module's template already",
            "{0} 的主机在该模块下已有服务实例",
        ),
        ProcessNameTaken => (1_113_019, "process name in {0} is not unique", "{0} 的进程名称重复"),
        FuncNameTaken => (
            1_113_020,
            "program and start parameter in {0} are not unique",
            "{0} 的进程二进制名与启动参数重复",
        ),
        ProcessTemplatesNotRemoved => (
            1_108_014,
            "the process templates cannot be removed: {0}",
            "无法删除进程模板：{0}",
        ),
        CategoryNameTaken => (1_113_017, "service category name is taken: {0}", "服务分类名已被使用：{0}"),
        CategoryOfTemplate => (
            1_108_036,
            "{0} is not the service category of the service template",
            "{0} 与服务模板的服务分类不一致",
        ),
        RelationUnreadable => (1_106_006, "module {0} could not be read", "查询模块 {0} 失败"),
        NotUnbound => (1_108_040, "{0} cannot be let go of its service template", "{0} 无法与服务模板解绑"),
        CategoryNotLeaf => (
            1_113_032,
            "service category {0} has others below it and cannot be used itself",
            "服务分类 {0} 下还有子分类，不能直接使用",
        ),
        ProcessOwnedByTemplate => (
            1_113_022,
            "process {0} is owned by its template and cannot be removed by itself",
            "进程 {0} 由模板管理，不能单独删除",
        ),
        NotSynchronized => (1_108_045, "cannot follow the template: {0}", "无法按模板同步：{0}"),
        TemplatesDiffer => (
            1_113_018,
            "{0} does not follow the service template in question",
            "{0} 与所用的服务模板不一致",
        ),
        JobsUnreadable => (1_117_007, "synchronizations of {0} cannot be listed", "查询 {0} 的同步任务出错"),
        JobUnderWay => (1_117_008, "{0} is being synchronized already", "{0} 的同步任务尚未结束"),
        UseBuiltInTransfer => (
            1_113_013,
            "module {0} is built in and has a transfer of its own",
            "模块 {0} 为内置模块，请使用对应的转移接口",
        ),
    }
}

/// The number of a cause.
pub fn number(cause: Cause) -> i64 {
    describe(cause).0
}

/// The message of a failure: every fault with its place and reason; of very many the first and how many more.
pub fn message(failure: &Failure, language: Language) -> String {
    let primary = failure.primary();
    // The fault that gives the number comes first.
    let others = failure.faults().iter().filter(|fault| !std::ptr::eq(*fault, primary));
    let mut parts: Vec<String> =
        std::iter::once(primary).chain(others).take(SPELLED_OUT).map(|fault| sentence(fault, language)).collect();
    let left = failure.faults().len().saturating_sub(SPELLED_OUT);
    if left > 0 {
        parts.push(language.pick("and {} more", "另有 {} 处").replace("{}", &left.to_string()));
    }
    parts.join("; ")
}

/// One fault with its place and reason.
pub fn sentence(fault: &Fault, language: Language) -> String {
    let (_, english, chinese) = describe(fault.cause);
    let path = fault.path.as_str();
    let subject = match &fault.name {
        Some(name) => name.as_str(),
        None if path.is_empty() => language.pick("the body", "请求体"),
        None => path,
    };
    let mut text = language.pick(english, chinese).replace("{0}", subject);
    if let Some(argument) = fault.more.first() {
        text = text.replace("{1}", argument);
    }
    if !path.is_empty() && !text.contains(path) {
        text.push_str(&format!(" ({path})"));
    }
    if let Some(reason) = &fault.reason {
        text.push_str(": ");
        text.push_str(&why(reason, language));
    }
    text
}

/// A reason in words.
fn why(reason: &Reason, language: Language) -> String {
    let say = |english: String, chinese: String| match language {
        Language::English => english,
        Language::Chinese => chinese,
    };
    let plain = |english: &str, chinese: &str| language.pick(english, chinese).to_owned();
    match reason {
        Reason::Syntax { line, column } => say(
            format!("not valid JSON at line {line}, column {column}"),
            format!("第 {line} 行第 {column} 列不是合法的 JSON"),
        ),
        Reason::TooDeep { limit } => say(format!("nested deeper than {limit} levels"), format!("嵌套超过 {limit} 层")),
        Reason::BadText => plain("holds a NUL character or an unpaired surrogate", "含有 NUL 字符或不成对的代理项"),
        Reason::WrongType { want, got } => {
            say(format!("expected {want}, got {got}"), format!("应为 {want}，实为 {got}"))
        }
        Reason::NeedsText => plain("must be a string", "应为字符串"),
        Reason::NeedsInteger => plain("must be an integer", "应为整数"),
        Reason::NeedsBool => plain("must be true or false", "应为布尔值"),
        Reason::NeedsTime => {
            plain("must be a time such as 2026-11-21T10:00:00+08:00", "应为形如 2026-11-21T10:00:00+08:00 的时间")
        }
        Reason::NeedsRows => plain("must be a list of objects", "应为对象数组"),
        Reason::NeedsObject => plain("must be an object", "应为对象"),
        Reason::Blank => plain("must not be empty", "不能为空"),
        Reason::Range { min, max } => say(format!("must be {min} to {max}"), format!("应在 {min} 到 {max} 之间")),
        Reason::Count { min, max } => {
            say(format!("must hold {min} to {max} items"), format!("元素个数应在 {min} 到 {max} 之间"))
        }
        Reason::TooLong { max_bytes } => {
            say(format!("longer than {max_bytes} bytes"), format!("超过 {max_bytes} 字节"))
        }
        Reason::NoChoice { value, choices } => {
            say(format!("\"{value}\" is none of {choices}"), format!("“{value}”不在可选值 {choices} 中"))
        }
        Reason::PortSyntax { value } => say(
            format!("\"{value}\" is not one port or one range of ports"),
            format!("“{value}”不是单个端口或端口范围"),
        ),
        Reason::PortOrder { value } => {
            say(format!("range \"{value}\" ends before it begins"), format!("端口范围“{value}”的终点小于起点"))
        }
        Reason::FollowsNoTemplate => plain("it follows no template", "未绑定模板"),
        Reason::JobIsOver { is_over: true } => plain("the job is over", "任务已结束"),
        Reason::JobIsOver { is_over: false } => plain("the job is not over yet", "任务尚未结束"),
        Reason::NoProcessTemplates => plain("the service template has no process templates", "服务模板中没有进程模板"),
        Reason::PortOverlap { value } => {
            say(format!("\"{value}\" names a port more than once"), format!("“{value}”中有重复的端口"))
        }
        Reason::FamilyMismatch => plain(
            "an IPv4 address goes with TCP and UDP, an IPv6 address with TCP6 and UDP6",
            "IPv4 地址须与 TCP、UDP 搭配，IPv6 地址须与 TCP6、UDP6 搭配",
        ),
        Reason::OuterBlanks { value } => {
            say(format!("\"{value}\" begins or ends with a blank"), format!("“{value}”首尾含有空白字符"))
        }
        Reason::IpSyntax { value } => {
            say(format!("\"{value}\" is not an IP address"), format!("“{value}”不是 IP 地址"))
        }
        Reason::Characters { value } => {
            say(format!("\"{value}\" holds characters that are not allowed"), format!("“{value}”含有不允许的字符"))
        }
        Reason::UnknownKey => plain("no such key here", "此处没有这个字段"),
        Reason::RowIdsDiffer => plain("differs from template_row_id", "与 template_row_id 不一致"),
        Reason::Taken { value } => say(format!("\"{value}\" exists already"), format!("“{value}”已存在")),
        Reason::TakenInRequest { value, other } => {
            say(format!("\"{value}\" is the same as {other}"), format!("“{value}”与 {other} 相同"))
        }
        Reason::Exclusive { other } => {
            say(format!("cannot be given together with {other}"), format!("不能与 {other} 同时使用"))
        }
        Reason::OtherBusiness => plain("belongs to another business", "属于其他业务"),
        Reason::NothingToDeriveFrom => {
            plain("missing, and nothing in the request tells it", "未给出，也无法从请求推导")
        }
        Reason::NeedsPage { max } => {
            say(format!("more than {max} rows, ask for a page"), format!("结果超过 {max} 行，请使用分页"))
        }
        Reason::NeedsCondition => plain(
            "must be a group: an object with `condition` and `rules`",
            "必须是条件组，即含有 condition 和 rules 的对象",
        ),
        Reason::TimeSyntax { value } => say(format!("{value} is no date or time"), format!("{value} 不是日期或时间")),
        Reason::NotSupportedYet => plain("not supported by this release", "此版本不支持"),
        Reason::These { what } => what.clone(),
        Reason::Absent { value } => say(format!("{value} does not exist"), format!("{value} 不存在")),
        Reason::TooManyCharacters { max } => say(format!("longer than {max} characters"), format!("超过 {max} 个字符")),
        Reason::UsedBy(referrer) => {
            let (english, chinese) = match referrer {
                Referrer::ServiceCategory => ("service categories", "服务分类"),
                Referrer::ServiceTemplate => ("service templates", "服务模板"),
                Referrer::Set => ("sets", "集群"),
                Referrer::Module => ("modules", "模块"),
                Referrer::ServiceInstance => ("service instances", "服务实例"),
            };
            say(format!("there are {english} that refer to it"), format!("有{chinese}引用它"))
        }
        Reason::TooMany { max } => say(format!("at most {max}"), format!("最多 {max}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_item_is_named_up_to_twenty() {
        let fault = |i: usize| {
            let path = format!("processes[{i}].process_info.bk_func_name");
            Fault::new(Cause::NotSet, path.as_str())
        };
        let failure = |n: usize| Failure::check((0..n).map(fault).collect()).unwrap_err();
        let two = message(&failure(2), Language::English);
        assert_eq!(
            two,
            "processes[0].process_info.bk_func_name is not set; processes[1].process_info.bk_func_name is not set"
        );
        let many = message(&failure(25), Language::Chinese);
        assert!(many.contains("processes[19]") && !many.contains("processes[20]") && many.ends_with("另有 5 处"));
    }

    #[test]
    fn a_clash_gives_the_number_and_comes_first() {
        let clash = Fault::new(Cause::Duplicate, "processes[1].process_info.bk_process_name")
            .named("bk_process_name")
            .because(Reason::Taken { value: "nginx".into() });
        let failure = Failure::check(vec![Fault::new(Cause::NotSet, "processes[0]"), clash]).unwrap_err();
        assert_eq!(number(failure.primary().cause), 1_199_014);
        assert_eq!(
            message(&failure, Language::English),
            "duplicated instances exist: unique fields bk_process_name duplicated \
             (processes[1].process_info.bk_process_name): \"nginx\" exists already; processes[0] is not set"
        );
    }
}
