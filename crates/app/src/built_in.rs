//! What every store is born with: clients count on these ids (`topology` 2.1 to 2.4, `templates` 4).

use rollcall_domain::business::{self, POOL_KIND, PlanIds};
use rollcall_domain::id::{BusinessId, CloudAreaId, ModuleId, SetId};
use rollcall_domain::json::{Json, Object};
use rollcall_domain::module::BuiltIn;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_domain::service_category::ServiceCategory;
use rollcall_domain::topology::{Birth, ORDINARY};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx, migrate};

/// The setting that says that the store has its built-in data, and since when: milliseconds in UTC.
const SETTING: &str = "built_in_data";

/// Who made it.
const CREATOR: &str = "cc_system";

/// Puts the built-in data into a store that has none yet.
pub fn install(tx: &mut dyn Tx, zone: &Zone, now: Moment) -> Result<(), StoreError> {
    if migrate::find_setting(tx, SETTING)?.is_some() {
        return Ok(());
    }
    let time = zone.rfc3339(now);
    let birth = Birth { time: &time, user: CREATOR };
    let businesses = [(BusinessId::POOL, "资源池", POOL_KIND), (BusinessId::PLATFORM, "蓝鲸", ORDINARY)];
    let modules_each = i64::try_from(BuiltIn::ALL.len()).unwrap_or_default();
    let mut last_module = 0;
    for (id, name, kind) in businesses {
        let given = [("bk_biz_name", name), ("bk_biz_maintainer", "admin")];
        let given = given.map(|(field, text)| (field.to_owned(), Json::from(text)));
        let draft = business::read_draft(&Object::from_iter(given))
            .map_err(|faults| StoreError::Defect(format!("built-in business: {faults:?}")))?;
        let ids = PlanIds { business: id, set: SetId(id.get()), first_module: ModuleId(last_module + 1) };
        let plan = business::plan(&draft, ids, kind, &birth);
        rollcall_store::business::insert(tx, &[plan.business])?;
        rollcall_store::set::insert(tx, &[plan.set])?;
        rollcall_store::module::insert(tx, &plan.modules)?;
        last_module += modules_each;
    }
    let categories = ServiceCategory::built_in();
    rollcall_store::service_category::insert(tx, &categories)?;
    rollcall_store::cloud_area::insert(tx, &[(CloudAreaId(0), "Default Area")])?;
    let last_category = i64::try_from(categories.len()).unwrap_or_default();
    for (name, last) in [
        (Sequence::Business, BusinessId::PLATFORM.get()),
        (Sequence::Set, BusinessId::PLATFORM.get()),
        (Sequence::Module, last_module),
        (Sequence::ServiceCategory, last_category),
    ] {
        sequence::reserve_up_to(tx, name, last)?;
    }
    migrate::put_setting(tx, SETTING, &now.unix_ms().to_string())
}

/// When the store got its built-in data.
pub(crate) fn installed_at(tx: &mut dyn Tx) -> Result<Moment, StoreError> {
    let text = migrate::find_setting(tx, SETTING)?;
    match text.as_deref().map(str::parse) {
        Some(Ok(ms)) => Ok(Moment(ms)),
        None => Ok(Moment(0)),
        Some(Err(_)) => Err(StoreError::Unreadable(format!("setting {SETTING} {text:?}"))),
    }
}
