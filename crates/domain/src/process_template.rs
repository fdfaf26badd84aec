//! Process templates: what the processes made from one begin with, and which of their fields have to stay like that (`templates` 7).

mod bind;
mod follow;

pub use follow::{Difference, Pattern, adopt};

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::{BusinessId, ProcessTemplateId, SUPPLIER_ACCOUNT, ServiceTemplateId};
use crate::json::{Decode, Decoder, Field, FieldPath, Json, JsonWriter, Limits, Object, Schema, parse};
use crate::process::{self, FIELDS, Kind, ProcessKeys, place_of, read_value};
use crate::topology::Birth;
use crate::wire_input;
use bind::{BindSetting, BindSettingIn};

/// The most process templates one call makes.
pub const MAX_PER_CALL: usize = 100;
/// The most process templates one call removes.
pub const MAX_DELETED_PER_CALL: usize = 500;
/// The most process templates one call names to be listed.
pub const MAX_LISTED: usize = 200;

/// The name of the process, always locked.
const NAME: &str = "bk_process_name";
/// The name of the program, always locked and never changed.
const FUNC_NAME: &str = "bk_func_name";
const START_PARAM: &str = "bk_start_param_regex";

/// A value of a template and whether processes have to keep it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    value: Json,
    /// `as_default_value` on the wire. Only `true` locks; null and false are told apart for the reader's sake.
    lock: Option<bool>,
}

impl Setting {
    /// Nothing given and nothing locked.
    const NONE: Setting = Setting { value: Json::Null, lock: None };

    /// The value.
    pub fn value(&self) -> &Json {
        &self.value
    }

    /// Whether processes have to keep the value.
    pub fn is_locked(&self) -> bool {
        self.lock == Some(true)
    }

    fn write(&self, out: &mut JsonWriter) {
        out.raw("{").key("value").value(&self.value);
        self.write_lock(out);
    }

    fn write_lock(&self, out: &mut JsonWriter) {
        write_lock(out, self.lock);
    }
}

/// The lock, and the end of the setting.
fn write_lock(out: &mut JsonWriter, lock: Option<bool>) {
    out.key("as_default_value").value(&lock.map_or(Json::Null, Json::Bool)).raw("}");
}

/// What a process template says of its processes.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// By the places of [`FIELDS`]; those that are not plain stay [`Setting::NONE`].
    settings: Vec<Setting>,
    bind: BindSetting,
}

wire_input! {
    /// A text and its lock.
    pub struct TextSetting {
        /// The value; null is not the same as an empty text.
        pub value: Option<String> = "value",
        /// Whether processes have to keep it.
        pub lock: Option<bool> = "as_default_value",
    }
}

wire_input! {
    /// A number and its lock.
    pub struct IntSetting {
        /// The value.
        pub value: Option<i64> = "value",
        /// Whether processes have to keep it.
        pub lock: Option<bool> = "as_default_value",
    }
}

wire_input! {
    /// A flag and its lock.
    pub struct BoolSetting {
        /// The value.
        pub value: Option<bool> = "value",
        /// Whether processes have to keep it.
        pub lock: Option<bool> = "as_default_value",
    }
}

impl From<TextSetting> for Setting {
    fn from(sent: TextSetting) -> Self {
        Self { value: sent.value.map_or(Json::Null, Json::Text), lock: sent.lock }
    }
}

impl From<IntSetting> for Setting {
    fn from(sent: IntSetting) -> Self {
        Self { value: sent.value.map_or(Json::Null, Json::Int), lock: sent.lock }
    }
}

impl From<BoolSetting> for Setting {
    fn from(sent: BoolSetting) -> Self {
        Self { value: sent.value.map_or(Json::Null, Json::Bool), lock: sent.lock }
    }
}

/// A property as a request gives it. Fields that were left out are known from those that are null.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyIn {
    /// By the places of [`FIELDS`]; `None`: left out.
    settings: Vec<Option<Setting>>,
    bind: Option<BindSettingIn>,
}

/// The plain fields of a process: those a template has a setting for, beside the ports.
fn plain_fields() -> impl Iterator<Item = (usize, &'static str, Kind)> {
    let fields = FIELDS.iter().enumerate().map(|(place, (field, kind))| (place, *field, *kind));
    fields.filter(|(_, _, kind)| !matches!(kind, Kind::Server | Kind::Bind))
}

impl Decode for PropertyIn {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        let mut object = Object::decode(json, at)?;
        let mut sent = Self { settings: vec![None; FIELDS.len()], bind: None };
        let mut is_whole = true;
        for (place, field, kind) in plain_fields() {
            if object.get_ignoring_case(field).is_none() {
                continue;
            }
            let setting = match kind {
                Kind::Int(..) => at.field::<IntSetting>(&mut object, field).map(Setting::from),
                Kind::Bool => at.field::<BoolSetting>(&mut object, field).map(Setting::from),
                _ => at.field::<TextSetting>(&mut object, field).map(Setting::from),
            };
            is_whole &= setting.is_some();
            sent.settings[place] = setting;
        }
        if object.get_ignoring_case(bind::FIELD).is_some() {
            sent.bind = at.field::<BindSettingIn>(&mut object, bind::FIELD);
            is_whole &= sent.bind.is_some();
        }
        is_whole.then_some(sent)
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(Self { settings: vec![None; FIELDS.len()], bind: None })
    }

    fn schema() -> Schema {
        let field = |name, schema| Field { name, description: "", schema, always: false };
        let plain = plain_fields().map(|(_, name, kind)| match kind {
            Kind::Int(..) => field(name, IntSetting::schema()),
            Kind::Bool => field(name, BoolSetting::schema()),
            _ => field(name, TextSetting::schema()),
        });
        Schema::Object(plain.chain([field(bind::FIELD, BindSettingIn::schema())]).collect())
    }
}

impl PropertyIn {
    /// Texts that begin or end with a blank. Only one of the operations refuses them, the others take the blanks off.
    pub fn outer_blanks(&self, at: &FieldPath) -> Vec<Fault> {
        let padded = plain_fields().filter_map(|(place, field, _)| {
            let text = self.settings[place].as_ref()?.value.as_text()?;
            let reason = Reason::OuterBlanks { value: quoted(text) };
            (text != text.trim()).then(|| Fault::new(Cause::Unexpected, at.field(field)).because(reason))
        });
        padded.collect()
    }
}

impl Property {
    /// The property of a new template.
    pub fn create(sent: &PropertyIn, at: &FieldPath) -> Result<Self, Vec<Fault>> {
        let none = Self { settings: vec![Setting::NONE; FIELDS.len()], bind: BindSetting::default() };
        none.merged(sent, at, place_of(NAME))
    }

    /// The property of a template that is changed: what the request names is replaced, value and lock; what it leaves out stays.
    pub fn updated(&self, sent: &PropertyIn, at: &FieldPath) -> Result<Self, Vec<Fault>> {
        self.merged(sent, at, place_of(FUNC_NAME))
    }

    /// The property with everything replaced by what the request names; what it leaves out becomes null.
    pub fn replaced(&self, sent: &PropertyIn, at: &FieldPath) -> Result<Self, Vec<Fault>> {
        let mut whole = sent.clone();
        for (place, _, _) in plain_fields() {
            whole.settings[place].get_or_insert(Setting::NONE);
        }
        whole.bind.get_or_insert(BindSettingIn::NONE);
        self.updated(&whole, at)
    }

    /// With what was sent, but for one field: the name of the program stays, when there is one.
    fn merged(&self, sent: &PropertyIn, at: &FieldPath, kept: usize) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        // The order of the contract: ports, names, numbers.
        let bind = match &sent.bind {
            None => self.bind.clone(),
            Some(bind) => self.bind.replaced(bind, &at.field(bind::FIELD), &mut faults),
        };
        let mut settings = self.settings.clone();
        let mut of_values = Vec::new();
        for (place, field, kind) in plain_fields() {
            let keeps = field == FUNC_NAME && kept == place;
            if let Some(setting) = sent.settings[place].as_ref().filter(|_| !keeps) {
                settings[place] = setting.clone();
            }
            match checked(field, kind, &settings[place].value) {
                Ok(value) => settings[place].value = value,
                Err(reason) => {
                    let fault = Fault::new(Cause::ParamInvalid, at.field(field)).because(reason);
                    if matches!(kind, Kind::Needed(_)) { faults.push(fault) } else { of_values.push(fault) }
                }
            }
            if matches!(kind, Kind::Needed(_)) {
                settings[place].lock = Some(true);
            }
        }
        faults.extend(of_values);
        if faults.is_empty() { Ok(Self { settings, bind }) } else { Err(faults) }
    }

    /// What no other template of the service template may hold.
    pub fn keys(&self) -> ProcessKeys {
        let text = |field| self.setting(field).value.as_text().map(str::to_owned);
        ProcessKeys {
            name: text(NAME).unwrap_or_default(),
            func_name: text(FUNC_NAME).unwrap_or_default(),
            start_param: text(START_PARAM),
        }
    }

    /// The highest row id that was ever given: ids of rows are not given twice.
    pub fn last_row_id(&self) -> i64 {
        self.bind.last_row_id
    }

    /// The setting of a plain field as the wire shows it; `None` for another field.
    pub fn setting_json(&self, field: &str) -> Option<String> {
        let (place, ..) = plain_fields().find(|(_, name, _)| *name == field)?;
        let mut out = JsonWriter::with_capacity(64);
        self.settings[place].write(&mut out);
        Some(out.finish())
    }

    fn setting(&self, field: &str) -> &Setting {
        &self.settings[place_of(field)]
    }

    /// The wire object, which is also what is stored.
    pub fn json(&self) -> String {
        let mut out = JsonWriter::with_capacity(2048);
        out.raw("{");
        for (place, field, _) in plain_fields() {
            out.key(field);
            self.settings[place].write(&mut out);
        }
        out.key(bind::FIELD);
        self.bind.write(&mut out);
        out.raw("}");
        out.finish()
    }

    /// Reads a stored property; `None` when the text is none.
    pub fn read(json: &str, last_row_id: i64) -> Option<Self> {
        let Ok(tree) = parse(json.as_bytes(), Limits::default()) else { return None };
        let sent: PropertyIn = Decoder::decode(tree, false).ok()?;
        let settings = sent.settings.into_iter().map(|setting| setting.unwrap_or(Setting::NONE)).collect();
        Some(Self { settings, bind: BindSetting::stored(sent.bind.unwrap_or(BindSettingIn::NONE), last_row_id) })
    }

    /// The shape of a property in answers.
    pub fn schema() -> Schema {
        let Schema::Object(fields) = PropertyIn::schema() else { unreachable!("an object schema") };
        Schema::Object(fields.into_iter().map(|field| Field { always: true, ..field }).collect())
    }
}

/// A process template.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessTemplate {
    pub id: ProcessTemplateId,
    pub business_id: BusinessId,
    pub service_template_id: ServiceTemplateId,
    pub property: Property,
    pub creator: String,
    pub modifier: String,
    /// RFC 3339 text, as is the next.
    pub create_time: String,
    pub last_time: String,
}

impl ProcessTemplate {
    /// A new one.
    pub fn place(
        id: ProcessTemplateId,
        (business_id, service_template_id): (BusinessId, ServiceTemplateId),
        property: Property,
        birth: &Birth<'_>,
    ) -> Self {
        let (user, time) = (birth.user.to_owned(), birth.time.to_owned());
        Self {
            id,
            business_id,
            service_template_id,
            property,
            creator: user.clone(),
            modifier: user,
            create_time: time.clone(),
            last_time: time,
        }
    }

    /// The same with another property.
    #[must_use]
    pub fn changed(&self, property: Property, user: &str, time: &str) -> Self {
        Self { property, modifier: user.to_owned(), last_time: time.to_owned(), ..self.clone() }
    }

    /// The wire object.
    pub fn document(&self) -> String {
        let property = self.property.json();
        let mut out = JsonWriter::with_capacity(property.len() + 384);
        out.raw("{").key("id").int(self.id.get()).key(NAME).text(&self.property.keys().name);
        out.key("bk_biz_id").int(self.business_id.get());
        out.key("service_template_id").int(self.service_template_id.get());
        out.key("property").raw(&property);
        out.key("creator").text(&self.creator).key("modifier").text(&self.modifier);
        out.key("create_time").text(&self.create_time).key("last_time").text(&self.last_time);
        out.key("bk_supplier_account").text(SUPPLIER_ACCOUNT).raw("}");
        out.finish()
    }

    /// The shape of a template in answers.
    pub fn schema() -> Schema {
        Schema::object([
            ("id", Schema::Integer),
            (NAME, Schema::Text),
            ("bk_biz_id", Schema::Integer),
            ("service_template_id", Schema::Integer),
            ("property", Property::schema()),
            ("creator", Schema::Text),
            ("modifier", Schema::Text),
            ("create_time", Schema::Time),
            ("last_time", Schema::Time),
            ("bk_supplier_account", Schema::Text),
        ])
    }
}

/// Every wanted template that clashes with another one of its service template or with an earlier wanted one. `at` gives the path of
/// a field of a wanted one.
pub fn find_clashes(
    others: &[ProcessKeys],
    wanted: &[&ProcessKeys],
    at: impl Fn(usize, &str) -> FieldPath,
    faults: &mut Vec<Fault>,
) {
    let mut clashes = Vec::new();
    process::find_clashes(others, wanted, at, &mut clashes);
    faults.extend(clashes.into_iter().map(|clash| {
        let is_name = clash.name.as_deref() == Some(NAME);
        Fault { cause: if is_name { Cause::ProcessNameTaken } else { Cause::FuncNameTaken }, ..clash }
    }));
}

/// A value as a template keeps it: what no process could have, no template may say.
fn checked(field: &str, kind: Kind, value: &Json) -> Result<Json, Reason> {
    match (kind, field) {
        (Kind::Text(_) | Kind::Bool, _) if *value == Json::Null => Ok(Json::Null),
        // A process may have 0 there, a template not.
        (Kind::Int(_, max), "timeout" | "bk_start_check_secs") => read_value(Kind::Int(1, max), Some(value)),
        _ => read_value(kind, Some(value)),
    }
}

#[cfg(test)]
pub(crate) mod made_up;
#[cfg(test)]
mod tests;
