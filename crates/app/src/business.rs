//! Businesses: search_business, create_business (`topology` 5.1, 5.2).

use crate::access::{Granted, right};
use crate::journal::{Journal, Made};
use crate::listing::{Listing, open_page, read_condition, refuse_filters};
use crate::operation::{Serve, record_input};
use crate::{Context, OpError, Reply};
use rollcall_domain::business::{self, BusinessDraft, BusinessPlan, BusinessStatus, PlanIds};
use rollcall_domain::condition::Condition;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, quoted};
use rollcall_domain::id::{BusinessId, ModuleId, SetId};
use rollcall_domain::json::{FieldPath, Json, Object, Schema};
use rollcall_domain::module::BuiltIn;
use rollcall_domain::page::PageIn;
use rollcall_domain::topology::{Birth, ORDINARY};
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};

/// Clients ask for all businesses at once and never page (`clients` 3.3).
const UNPAGED_BUSINESSES: usize = 10_000;

wire_input! {
    /// What search_business takes.
    pub struct SearchBusinessesWire {
        /// The fields to answer; none: all.
        pub fields: Vec<String> = "fields",
        /// What the businesses must say of themselves: a text is looked for anywhere in the value.
        pub condition: Object = "condition",
        /// Not supported yet.
        pub property_filter: Json = "biz_property_filter",
        /// Not supported yet.
        pub time_condition: Json = "time_condition",
        /// The page; missing: all.
        pub page: Option<PageIn> = "page",
    }
}

/// search_business.
#[derive(Debug)]
pub struct SearchBusinesses {
    wire: SearchBusinessesWire,
    listing: Option<Result<Listing, Failure>>,
}

crate::operation::decode_through!(SearchBusinesses, SearchBusinessesWire, |wire| Self { wire, listing: None });

impl SearchBusinesses {
    fn listing(&self) -> Result<Listing, Failure> {
        let wire = &self.wire;
        if !wire.condition.is_empty() && wire.property_filter != Json::Null {
            let other = "condition";
            let fault = Fault::new(Cause::ParamInvalid, "biz_property_filter");
            return Err(fault.because(Reason::Exclusive { other }).into());
        }
        refuse_filters(&[("biz_property_filter", &wire.property_filter), ("time_condition", &wire.time_condition)])?;
        let page = open_page(wire.page.as_ref().unwrap_or(&PageIn::none()))?;
        // Whatever a caller says of `default`: the pool never shows.
        let condition = read_condition(&wire.condition, &["default"], |condition| {
            Condition::parse_business(condition, &FieldPath::of("condition"))
        })?;
        let listing = Listing::new(page, condition, &wire.fields, "bk_biz_id");
        Ok(listing.always_with(&["bk_biz_id", "default"]))
    }
}

impl Serve for SearchBusinesses {
    fn output() -> Schema {
        business::schema().picked().page_of()
    }

    fn check(&mut self) {
        self.listing = Some(self.listing());
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let listing = match &self.listing {
            Some(listing) => listing.clone()?,
            None => self.listing()?,
        };
        // Archived ones show to those who ask for them.
        let any_status = listing.condition().is_some_and(|condition| condition.names("bk_data_status"));
        let mut matches = listing.matches();
        rollcall_store::business::each(tx, &mut |id, status, document| {
            let in_use = any_status || status == BusinessStatus::Enabled;
            if in_use && context.access.find::<right::FindBusiness>(id).is_some() {
                matches.offer(document)?;
            }
            Ok(())
        })?;
        matches.answer(context.limits.unpaged_rows.max(UNPAGED_BUSINESSES))
    }
}

record_input! {
    /// The record of a new business.
    pub struct CreateBusinessWire of Business {}
}

/// create_business: its input, checked once before the queue.
#[derive(Debug)]
pub struct CreateBusiness {
    wire: CreateBusinessWire,
    draft: Option<Result<BusinessDraft, Vec<Fault>>>,
}

crate::operation::decode_through!(CreateBusiness, CreateBusinessWire, |wire| Self { wire, draft: None });

impl Serve for CreateBusiness {
    fn output() -> Schema {
        business::schema()
    }

    fn check(&mut self) {
        self.draft = Some(business::read_draft(&self.wire.record));
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = context.access.require_global::<right::CreateBusiness>()?;
        let draft = crate::operation::checked(&self.draft, || business::read_draft(&self.wire.record))?;
        if rollcall_store::business::find_named(tx, draft.name())?.is_some() {
            return Err(name_taken(&draft).into());
        }
        let plan = apply_create(&granted, context, tx, &draft)?;
        Ok(Reply(plan.business.document))
    }
}

fn name_taken(draft: &BusinessDraft) -> Fault {
    let value = quoted(draft.name());
    Fault::new(Cause::Duplicate, "bk_biz_name").because(Reason::Taken { value })
}

/// Stores a business with what it is born with.
fn apply_create(
    _: &Granted<right::CreateBusiness>,
    context: &Context,
    tx: &mut dyn Tx,
    draft: &BusinessDraft,
) -> Result<BusinessPlan, OpError> {
    let time = context.time_text();
    let birth = Birth { time: &time, user: &context.caller.user };
    let ids = PlanIds {
        business: BusinessId(sequence::take(tx, Sequence::Business, 1)?),
        set: SetId(sequence::take(tx, Sequence::Set, 1)?),
        first_module: ModuleId(sequence::take(tx, Sequence::Module, BuiltIn::ALL.len())?),
    };
    let plan = business::plan(draft, ids, ORDINARY, &birth);
    rollcall_store::business::insert(tx, std::slice::from_ref(&plan.business)).map_err(|error| match error {
        // The rule gives the friendly error first; the index closes the race between two servers.
        StoreError::Unique(_) => name_taken(draft).into(),
        error => OpError::from(error),
    })?;
    rollcall_store::set::insert(tx, std::slice::from_ref(&plan.set))?;
    rollcall_store::module::insert(tx, &plan.modules)?;

    let mut journal = Journal::default();
    let business_id = ids.business;
    journal.record_created(Made {
        kind: EventKind::Business,
        business_id,
        id: ids.business.get(),
        name: &plan.business.name,
        document: &plan.business.document,
    });
    journal.record_created(Made {
        kind: EventKind::Set,
        business_id,
        id: ids.set.get(),
        name: &plan.set.name,
        document: &plan.set.document,
    });
    for module in &plan.modules {
        journal.record_created(Made {
            kind: EventKind::Module,
            business_id,
            id: module.id.get(),
            name: &module.name,
            document: &module.document,
        });
    }
    journal.write(context, tx)?;
    see_own(context, tx, business_id)?;
    Ok(plan)
}

/// Who makes a business may see it (`gateway` 8.3).
fn see_own(context: &Context, tx: &mut dyn Tx, id: BusinessId) -> Result<(), StoreError> {
    use crate::access::{Action, Right};
    if context.access.find::<right::FindBusiness>(id).is_some() {
        return Ok(());
    }
    let action: Action = <right::FindBusiness as Right>::ACTION;
    rollcall_store::directory::insert_grant(tx, &context.caller.user, action.wire(), Some(id), context.now).map(|_| ())
}
