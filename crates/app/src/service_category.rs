//! Service categories: list_service_category (`templates` 4, C1).

use crate::listing::open_list;
use crate::operation::Serve;
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Fault};
use rollcall_domain::id::BusinessId;
use rollcall_domain::json::Schema;
use rollcall_domain::service_category::ServiceCategory;
use rollcall_domain::wire_input;
use rollcall_store::Tx;

wire_input! {
    /// What list_service_category takes.
    pub struct ListCategories {
        /// The business whose own categories are listed beside the shared ones; it need not exist.
        pub business_id: i64 = "bk_biz_id",
    }
}

impl Serve for ListCategories {
    fn output() -> Schema {
        ServiceCategory::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        // Only 0 is refused: recording svc_category.list.negative_biz.
        if self.business_id == 0 {
            return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
        }
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let categories = rollcall_store::service_category::list(tx, business)?;
        let mut out = open_list(categories.len(), 4096);
        for category in &categories {
            out.separate();
            category.write(&mut out, context.english);
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
