//! Sets: create_set, search_set (`topology` 6.1, 6.4).

use crate::access::right;
use crate::journal::{Journal, Made};
use crate::listing::{Listing, read_condition, refuse_filters};
use crate::module::create_following;
use crate::operation::{Serve, record_input};
use crate::request::business_of;
use crate::{Context, OpError, Reply};
use rollcall_domain::condition::Condition;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, quoted};
use rollcall_domain::id::{BusinessId, SetId, SetTemplateId};
use rollcall_domain::json::{FieldPath, Json, Object, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::page::PageIn;
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::set::{self, Place, SetDraft};
use rollcall_domain::template_attribute::{self, Owner};
use rollcall_domain::topology::{Birth, ORDINARY};
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};

record_input! {
    /// The record of a new set.
    pub struct CreateSetWire of Set {
        /// The business that gets it.
        pub business_id: "bk_biz_id",
    }
}

/// create_set: its input, checked once before the queue.
#[derive(Debug)]
pub struct CreateSet {
    wire: CreateSetWire,
    draft: Option<Result<SetDraft, Vec<Fault>>>,
}

crate::operation::decode_through!(CreateSet, CreateSetWire, |wire| Self { wire, draft: None });

impl CreateSet {
    /// The set as its template wants it (`templates` 13). The template stays as it is until the set follows it.
    fn following(
        &self,
        tx: &mut dyn Tx,
        business: BusinessId,
        id: SetTemplateId,
    ) -> Result<(SetDraft, Vec<ServiceTemplate>), OpError> {
        let template = rollcall_store::set_template::lock_shared(tx, id)?;
        if template.is_none_or(|template| template.business_id != business) {
            return Err(Fault::absent(Cause::NotFound, "set_template_id", id).into());
        }
        let services = rollcall_store::set_template::services(tx, id)?;
        let services: Vec<_> = services.into_iter().collect();
        let services = rollcall_store::service_template::lock_shared_many(tx, &services)?;
        let attributes = rollcall_store::template_attribute::list(tx, business, Owner::Set(id))?;
        let attributes = template_attribute::values_of(Model::Set, &attributes);
        let read = || set::read_following(&self.wire.record, business, &attributes);
        Ok((crate::operation::checked(&None, read)?, services))
    }

    fn draft(&self) -> Result<SetDraft, Vec<Fault>> {
        set::read_draft(&self.wire.record, BusinessId(self.wire.business_id))
    }
}

impl Serve for CreateSet {
    fn output() -> Schema {
        set::schema()
    }

    fn check(&mut self) {
        self.draft = Some(self.draft());
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business_id = business_of(self.wire.business_id)?;
        let granted = context.access.require::<right::CreateTopology>(business_id)?;
        if rollcall_store::business::find(tx, granted.business())?.is_none() {
            return Err(Fault::absent(Cause::ParamUnusable, "bk_biz_id", business_id).into());
        }
        let template = set::read_template(&self.wire.record).ok().flatten();
        let (draft, services) = match template {
            Some(template) => self.following(tx, business_id, template)?,
            None => (crate::operation::checked(&self.draft, || self.draft())?, Vec::new()),
        };
        let parent = business_id.get();
        if rollcall_store::set::find_named(tx, business_id, parent, draft.name())?.is_some() {
            return Err(name_taken(&draft).into());
        }
        let time = context.time_text();
        let birth = Birth { time: &time, user: &context.caller.user };
        let id = SetId(sequence::take(tx, Sequence::Set, 1)?);
        let place = Place { business_id, set_template_id: template, kind: ORDINARY };
        let set = draft.place(id, place, &birth);
        rollcall_store::set::insert(tx, std::slice::from_ref(&set)).map_err(|error| match error {
            StoreError::Unique(_) => name_taken(&draft).into(),
            error => OpError::from(error),
        })?;
        let mut journal = Journal::default();
        journal.record_created(Made {
            kind: EventKind::Set,
            business_id,
            id: id.get(),
            name: &set.name,
            document: &set.document,
        });
        if let Some(template) = template {
            create_following(&granted, context, tx, (id, template), &services, &mut journal)?;
        }
        journal.write(context, tx)?;
        Ok(Reply(set.document))
    }
}

fn name_taken(draft: &SetDraft) -> Fault {
    let value = quoted(draft.name());
    Fault::new(Cause::SetNameTaken, "bk_set_name").because(Reason::Taken { value })
}

wire_input! {
    /// What search_set takes.
    pub struct SearchSetsWire {
        /// The business whose sets are searched.
        pub business_id: i64 = "bk_biz_id",
        /// The fields to answer; none: all.
        pub fields: Vec<String> = "fields",
        /// What the sets must say of themselves.
        pub condition: Object = "condition",
        /// Not supported yet.
        pub filter: Json = "filter",
        /// Not supported yet.
        pub time_condition: Json = "time_condition",
        /// The page; missing: everything, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

/// search_set.
#[derive(Debug)]
pub struct SearchSets {
    wire: SearchSetsWire,
    listing: Option<Result<Listing, Failure>>,
}

crate::operation::decode_through!(SearchSets, SearchSetsWire, |wire| Self { wire, listing: None });

impl SearchSets {
    fn listing(&self) -> Result<Listing, Failure> {
        let wire = &self.wire;
        if !wire.condition.is_empty() && wire.filter != Json::Null {
            let other = "condition";
            let fault = Fault::new(Cause::ParamInvalid, "filter");
            return Err(fault.because(Reason::Exclusive { other }).into());
        }
        refuse_filters(&[("filter", &wire.filter), ("time_condition", &wire.time_condition)])?;
        let page = wire.page.clone().unwrap_or_else(PageIn::none);
        let page = page.counted(Cause::ParamInvalid)?;
        let condition = read_condition(&wire.condition, &["bk_biz_id"], |condition| {
            Condition::parse(condition, &FieldPath::of("condition"))
        })?;
        Ok(Listing::new(page, condition, &wire.fields, "bk_set_id"))
    }
}

impl Serve for SearchSets {
    fn output() -> Schema {
        set::schema().picked().page_of()
    }

    fn check(&mut self) {
        self.listing = Some(self.listing());
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.wire.business_id)?;
        context.access.may_read(business)?;
        let listing = match &self.listing {
            Some(listing) => listing.clone()?,
            None => self.listing()?,
        };
        let max = context.limits.unpaged_rows;
        if listing.is_plain() {
            let count = rollcall_store::set::count(tx, business)?;
            let range = listing.range(count, max)?;
            let mut answer = listing.answer(count);
            rollcall_store::set::each_document(tx, business, range, &mut |document| answer.push(document))?;
            return Ok(answer.finish());
        }
        let mut matches = listing.matches();
        let all = (0, usize::MAX);
        rollcall_store::set::each_document(tx, business, all, &mut |document| matches.offer(document))?;
        matches.answer(max)
    }
}
