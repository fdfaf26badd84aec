//! Labels of service instances: added, removed, replaced and gathered (`instances` 10.9 to 10.12). They are no change of the
//! instance itself: who changed it last and when stays as it is.

use crate::access::{Granted, right};
use crate::journal::Journal;
use crate::operation::Serve;
use crate::request::{business_of, check_count, no_business};
use crate::service_instance::{Changed, find_absent};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault};
use rollcall_domain::id::{BusinessId, ModuleId, ServiceInstanceId};
use rollcall_domain::json::Schema;
use rollcall_domain::label::{
    Aggregation, LabelChange, Labels, MAX_ADDED_PER_CALL, MAX_REMOVED_PER_CALL, MAX_REPLACED_PER_CALL,
};
use rollcall_domain::service_instance::whole_document;
use rollcall_domain::wire_input;
use rollcall_store::service_instance as store;
use rollcall_store::{StoreError, Tx};

wire_input! {
    /// What add_label_for_service_instance takes.
    pub struct AddLabels {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 100 instances.
        pub ids: Vec<i64> = "instance_ids",
        /// Labels by their keys; they take the places of those with the same keys.
        pub labels: Labels = "labels",
    }
}

wire_input! {
    /// What remove_label_from_service_instance takes.
    pub struct RemoveLabels {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 instances.
        pub ids: Vec<i64> = "instance_ids",
        /// The keys of the labels that go; those that an instance does not have are left out.
        pub keys: Vec<String> = "keys",
    }
}

wire_input! {
    /// What the replacement of labels takes.
    pub struct ReplaceLabels {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 10000 instances.
        pub ids: Vec<i64> = "instance_ids",
        /// The labels in the place of all there are; missing: none.
        pub labels: Option<Labels> = "labels",
    }
}

/// Proof that the caller may change labels of a business.
struct MayLabel(BusinessId);

impl From<Granted<right::EditServiceInstance>> for MayLabel {
    fn from(granted: Granted<right::EditServiceInstance>) -> Self {
        Self(granted.business())
    }
}

impl From<Granted<right::DeleteServiceInstance>> for MayLabel {
    fn from(granted: Granted<right::DeleteServiceInstance>) -> Self {
        Self(granted.business())
    }
}

/// By the right to edit instances. Without a business there is nothing yet to have a right on.
fn editor(context: &Context, stated: i64) -> Result<Option<MayLabel>, OpError> {
    if stated <= 0 {
        return Ok(None);
    }
    let granted = context.access.require::<right::EditServiceInstance>(BusinessId(stated))?;
    Ok(Some(granted.into()))
}

impl Serve for AddLabels {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let who = editor(context, self.business_id)?;
        check_count("instance_ids", "add labels", self.ids.len(), MAX_ADDED_PER_CALL, Cause::NotSet)?;
        let who = who.ok_or_else(no_business)?;
        self.labels.check()?;
        change(&who, context, tx, &self.ids, &LabelChange::Add(self.labels.clone()))
    }
}

impl Serve for RemoveLabels {
    fn output() -> Schema {
        Schema::Null
    }

    /// The original wants the right to delete instances, but whoever may replace labels may take them away as well (`instances` D23).
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = BusinessId(self.business_id);
        let who = match context.access.find::<right::EditServiceInstance>(business) {
            Some(granted) => Some(MayLabel::from(granted)),
            None if self.business_id <= 0 => None,
            None => Some(context.access.require::<right::DeleteServiceInstance>(business)?.into()),
        };
        check_count("instance_ids", "remove labels", self.ids.len(), MAX_REMOVED_PER_CALL, Cause::NotSet)?;
        let who = who.filter(|_| self.business_id > 0).ok_or_else(no_business)?;
        change(&who, context, tx, &self.ids, &LabelChange::Remove(self.keys.iter().cloned().collect()))
    }
}

impl Serve for ReplaceLabels {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let who = editor(context, self.business_id)?;
        check_count("instance_ids", "replace labels", self.ids.len(), MAX_REPLACED_PER_CALL, Cause::NotSet)?;
        let who = who.ok_or_else(no_business)?;
        self.labels.as_ref().map_or(Ok(()), Labels::check)?;
        change(&who, context, tx, &self.ids, &LabelChange::Replace(self.labels.clone()))
    }
}

/// Changes the labels of instances, all of which must be of the business (`instances` D2).
fn change(
    who: &MayLabel,
    context: &Context,
    tx: &mut dyn Tx,
    ids: &[i64],
    change: &LabelChange,
) -> Result<Reply, OpError> {
    let business_id = who.0;
    let wanted: Vec<_> = ids.iter().copied().map(ServiceInstanceId).collect();
    let instances = store::lock_many(tx, business_id, &wanted)?;
    Failure::check(find_absent("instance_ids", ids, &instances))?;
    let mut journal = Journal::default();
    let mut rows = Vec::with_capacity(instances.len());
    for instance in &instances {
        let before = instance.labels.as_deref().map(read).transpose()?;
        let labels = change.apply(before).map(|labels| labels.json());
        let changed = Changed {
            business_id,
            instance,
            after: whole_document(&instance.document, labels.as_deref()),
            update_fields: format!("{{\"labels\":{}}}", labels.as_deref().unwrap_or("null")),
        };
        changed.tell(&mut journal);
        if labels != instance.labels {
            rows.push((instance.id, labels));
        }
    }
    store::set_labels(tx, business_id, &rows)?;
    journal.write(context, tx)?;
    Ok(Reply::null())
}

fn read(text: &str) -> Result<Labels, StoreError> {
    Labels::read(text).ok_or_else(|| StoreError::Unreadable("labels".into()))
}

wire_input! {
    /// What the gathering of labels takes.
    pub struct AggregateLabels {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Only of this module; missing: of any. There is no module 0.
        pub module_id: Option<i64> = "bk_module_id",
    }
}

impl Serve for AggregateLabels {
    fn output() -> Schema {
        Schema::Object(Vec::new())
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id).map_err(|fault| Fault { cause: Cause::ParamUnusable, ..fault })?;
        context.access.may_read(business)?;
        let mut aggregation = Aggregation::default();
        store::each_labels(tx, business, self.module_id.map(ModuleId), &mut |labels| {
            aggregation.add(read(labels)?);
            Ok(())
        })?;
        Ok(Reply(aggregation.json()))
    }
}
