//! The tables themselves, one line an attribute.

use super::choices::*;
use super::{Attribute, Choices, Group, Kind, TextRule, UsersForm};
use crate::address::Family;

const BASE: Group = Group { id: "default", name: "基础信息" };
const ROLE: Group = Group { id: "role", name: "角色" };
const AUTO: Group = Group { id: "auto", name: "主机系统配置" };
const NONE: Group = Group { id: "none", name: "none" };
const PORT: Group = Group { id: "proc_port", name: "监听信息" };
const MANAGE: Group = Group { id: "proc_mgr", name: "进程管理信息" };

impl Attribute {
    const fn new(id: &'static str, name: &'static str, kind: Kind) -> Self {
        Self {
            id,
            name,
            group: BASE,
            index: 0,
            kind,
            required: false,
            editable: true,
            hidden: false,
            system: false,
            by_server: false,
            null_is_default: false,
            unit: "",
        }
    }

    const fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    const fn at(mut self, index: i64) -> Self {
        self.index = index;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Fixed once the record exists.
    const fn fixed(mut self) -> Self {
        self.editable = false;
        self
    }

    /// Not listed.
    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn system(mut self) -> Self {
        self.system = true;
        self
    }

    /// Set by the operation.
    const fn by_server(mut self) -> Self {
        self.by_server = true;
        self
    }

    /// Null means the default.
    const fn never_null(mut self) -> Self {
        self.null_is_default = true;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

const fn short(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::ShortText(TextRule::Any))
}

const fn node_name(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::ShortText(TextRule::NodeName))
}

const fn long(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::LongText)
}

const fn int(id: &'static str, name: &'static str, min: i64, max: i64) -> Attribute {
    Attribute::new(id, name, Kind::Int(Some((min, max))))
}

/// A reference to another record, known to the operation only.
const fn reference(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::Int(None)).hidden().by_server()
}

const fn choice(id: &'static str, name: &'static str, choices: &'static Choices) -> Attribute {
    Attribute::new(id, name, Kind::Enum(choices))
}

const fn users(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::Users(UsersForm::Text))
}

const fn joined_users(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::Users(UsersForm::Joined))
}

const fn addresses(id: &'static str, name: &'static str, family: Family) -> Attribute {
    Attribute::new(id, name, Kind::Addresses(family))
}

const fn switch(id: &'static str, name: &'static str) -> Attribute {
    Attribute::new(id, name, Kind::Bool).hidden().by_server()
}

const fn created_at() -> Attribute {
    Attribute::new("bk_created_at", "创建时间", Kind::Time).fixed().by_server()
}

const fn created_by() -> Attribute {
    users("bk_created_by", "创建人").fixed().by_server()
}

const fn updated_at() -> Attribute {
    Attribute::new("bk_updated_at", "更新时间", Kind::Time).fixed().by_server()
}

const fn updated_by() -> Attribute {
    users("bk_updated_by", "更新人").fixed().by_server()
}

pub(super) static BUSINESS: &[Attribute] = &[
    short("bk_biz_name", "业务名").required(),
    choice("life_cycle", "生命周期", &LIFE_CYCLE),
    users("bk_biz_maintainer", "运维人员").group(ROLE).required(),
    users("bk_biz_productor", "产品人员").group(ROLE),
    users("bk_biz_tester", "测试人员").group(ROLE),
    users("bk_biz_developer", "开发人员").group(ROLE),
    users("operator", "操作人员").group(ROLE),
    Attribute::new("time_zone", "时区", Kind::TimeZone).required().fixed().never_null(),
    choice("language", "语言", &LANGUAGE).required().never_null(),
    created_at().at(1),
    created_by().at(2),
    updated_at().at(3),
    updated_by().at(4),
];

pub(super) static SET: &[Attribute] = &[
    reference("bk_biz_id", "业务ID").fixed(),
    node_name("bk_set_name", "集群名").required(),
    short("bk_set_desc", "集群描述"),
    choice("bk_set_env", "环境类型", &SET_ENVIRONMENT),
    choice("bk_service_status", "服务状态", &SERVICE_STATUS),
    long("description", "备注"),
    int("bk_capacity", "设计容量", 1, 999_999_999),
    Attribute::new("bk_parent_id", "", Kind::Int(None)).required().fixed().system().by_server(),
    reference("set_template_id", "集群模板ID").fixed().at(1),
    reference("set_template_version", "集群模板").at(2),
    created_at().at(3),
    created_by().at(4),
    updated_at().at(5),
    updated_by().at(6),
];

pub(super) static MODULE: &[Attribute] = &[
    reference("bk_biz_id", "业务ID").fixed(),
    reference("bk_set_id", "集群ID").fixed(),
    node_name("bk_module_name", "模块名").required(),
    choice("bk_module_type", "模块类型", &MODULE_TYPE),
    users("operator", "主要维护人"),
    users("bk_bak_operator", "备份维护人"),
    reference("bk_parent_id", "模块实例的父节点ID").required().fixed().system(),
    reference("service_category_id", "服务分类ID").required().at(1),
    reference("service_template_id", "服务模板ID").required().fixed().at(2),
    reference("set_template_id", "集群模板ID").fixed().at(3),
    switch("host_apply_enabled", "主机属性自动应用").at(4),
    created_at().at(5),
    created_by().at(6),
    updated_at().at(7),
    updated_by().at(8),
];

pub(super) static HOST: &[Attribute] = &[
    addresses("bk_host_innerip", "内网IPv4", Family::V4).fixed(),
    addresses("bk_host_outerip", "外网IPv4", Family::V4),
    joined_users("operator", "主要维护人"),
    joined_users("bk_bak_operator", "备份维护人"),
    // Fixed: in the recording host.add.duplicate_ip the second value is not taken.
    short("bk_asset_id", "固资编号").fixed(),
    short("bk_sn", "设备SN"),
    long("bk_comment", "备注"),
    int("bk_service_term", "质保年限", 1, 10).fixed(),
    choice("bk_sla", "SLA级别", &SLA),
    Attribute::new("bk_cloud_id", "管控区域", Kind::CloudArea).fixed().never_null(),
    choice("bk_state_name", "所在国家", &COUNTRY),
    choice("bk_province_name", "所在省份", &PROVINCE),
    choice("bk_isp_name", "所属运营商", &CARRIER),
    short("bk_host_name", "主机名称").group(AUTO),
    choice("bk_os_type", "操作系统类型", &OPERATING_SYSTEM).group(AUTO),
    short("bk_os_name", "操作系统名称").group(AUTO),
    short("bk_os_version", "操作系统版本").group(AUTO),
    short("bk_os_bit", "操作系统位数").group(AUTO),
    short("bk_os_kernel_version", "操作系统内核版本").group(AUTO),
    int("bk_cpu", "CPU逻辑核心数", 1, 1_000_000).group(AUTO),
    short("bk_cpu_module", "CPU型号").group(AUTO),
    int("bk_mem", "内存容量(MB)", 1, 100_000_000).group(AUTO).unit("MB"),
    int("bk_disk", "磁盘容量(GB)", 1, 100_000_000).group(AUTO).unit("GB"),
    short("bk_mac", "内网MAC地址").group(AUTO),
    short("bk_outer_mac", "外网MAC地址").group(AUTO),
    choice("import_from", "录入方式", &IMPORT_FROM).group(NONE).fixed(),
    Attribute::new("create_time", "录入时间", Kind::Time).group(NONE).fixed().by_server(),
    Attribute::new("bk_state", "当前状态", Kind::List(HOST_STATE)).at(1),
    short("bk_cloud_inst_id", "云主机实例ID").fixed().at(2),
    choice("bk_cloud_host_status", "云主机状态", &CLOUD_HOST_STATUS).fixed().at(3),
    choice("bk_cloud_vendor", "云厂商", &CLOUD_VENDOR).fixed().at(4),
    choice("bk_cpu_architecture", "CPU架构", &ARCHITECTURE).group(AUTO).at(5),
    addresses("bk_host_innerip_v6", "内网IPv6", Family::V6).fixed().at(6),
    addresses("bk_host_outerip_v6", "外网IPv6", Family::V6).at(7),
    Attribute::new("bk_agent_id", "GSE Agent ID", Kind::ShortText(TextRule::AgentId)).fixed().at(8),
    switch("bk_cloud_host_identifier", "云主机标识").fixed().system().at(9),
    choice("bk_addressing", "寻址方式", &ADDRESSING).fixed().never_null().at(10),
    short("bk_cloud_region", "云地域（Region）").fixed().at(11),
    short("bk_cloud_zone", "云可用区（Zone）").fixed().at(12),
    created_at().at(13),
    created_by().at(14),
    updated_at().at(15),
    updated_by().at(16),
];

pub(super) static PROCESS: &[Attribute] = &[
    short("bk_func_name", "进程名称").required().at(-3),
    short("bk_process_name", "进程别名").required().at(-2),
    long("bk_start_param_regex", "启动参数匹配规则").at(-1),
    short("description", "备注"),
    reference("bk_biz_id", "业务ID").required().fixed(),
    long("work_path", "工作路径").group(MANAGE).at(1),
    long("pid_file", "PID文件路径").group(MANAGE).at(2),
    short("user", "启动用户").group(MANAGE).at(3),
    int("proc_num", "启动数量", 1, 10_000).group(MANAGE).at(4),
    int("priority", "启动优先级", -100, 10_000).group(MANAGE).at(5),
    long("start_cmd", "启动命令").group(MANAGE).at(6),
    long("stop_cmd", "停止命令").group(MANAGE).at(7),
    long("restart_cmd", "重启命令").group(MANAGE).at(8),
    long("face_stop_cmd", "强制停止命令").group(MANAGE).at(9),
    long("reload_cmd", "进程重载命令").group(MANAGE).at(10),
    int("bk_start_check_secs", "启动等待时长", 0, 600).group(MANAGE).at(11).unit("s"),
    int("timeout", "操作超时时长", 0, 10_000).group(MANAGE).at(12).unit("s"),
    Attribute::new("auto_start", "是否自动拉起", Kind::Bool).group(MANAGE).hidden().at(13),
    Attribute::new("bind_info", "bind_info", Kind::BindRows).group(PORT).at(14),
    reference("service_instance_id", "服务实例ID").required().fixed().at(15),
    created_at().at(16),
    created_by().at(17),
    updated_at().at(18),
    updated_by().at(19),
];
