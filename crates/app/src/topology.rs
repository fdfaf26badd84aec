//! The tree of a business: search_biz_inst_topo (`topology` 8.1).

use crate::operation::Serve;
use crate::request::business_of;
use crate::{Context, OpError, Reply};
use rollcall_domain::json::{Json, JsonWriter, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::topology::{Node, ORDINARY};
use rollcall_domain::wire_input;
use rollcall_store::{StoreError, Tx};
use std::collections::HashMap;

wire_input! {
    /// What search_biz_inst_topo takes. `level` is accepted and means nothing: the tree is always whole.
    pub struct SearchTopology {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// With anything here, the built-in set and its modules are in the tree too.
        pub with_default: Json = "with_default",
        /// `true`: built-in nodes first, then by name.
        pub need_sort: Json = "need_sort",
    }
}

impl Serve for SearchTopology {
    fn output() -> Schema {
        Node::schema().list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let Some(business) = rollcall_store::business::find(tx, business)? else {
            return Ok(Reply("[]".into()));
        };
        let root = Node {
            model: Model::Business,
            id: business.id.get(),
            name: business.name,
            kind: business.kind,
            children: Vec::new(),
        };
        let with_built_in = !matches!(self.with_default, Json::Null | Json::Bool(false));
        let mut tree = load_tree(tx, root, with_built_in)?;
        let sorted = match &self.need_sort {
            Json::Bool(sorted) => *sorted,
            Json::Text(text) => text == "true",
            _ => false,
        };
        if sorted {
            tree.sort_by_name();
        }
        let mut out = JsonWriter::with_capacity(4096);
        out.raw("[");
        tree.write(&mut out, context.english);
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

/// The sets of a business and their modules below its node. Ids order brothers and sisters; built-in ones are born first.
fn load_tree(tx: &mut dyn Tx, mut root: Node, with_built_in: bool) -> Result<Node, StoreError> {
    let business = root.id.into();
    let sets = rollcall_store::set::list_of_business(tx, business)?;
    let modules = rollcall_store::module::list_of_business(tx, business)?;
    let sets = sets.into_iter().filter(|set| with_built_in || set.kind == ORDINARY);
    root.children = sets
        .map(|set| Node { model: Model::Set, id: set.id.get(), name: set.name, kind: set.kind, children: Vec::new() })
        .collect();
    let places: HashMap<i64, usize> = root.children.iter().map(|set| set.id).zip(0..).collect();
    for module in modules {
        if let Some(place) = places.get(&module.set_id.get()) {
            root.children[*place].children.push(Node {
                model: Model::Module,
                id: module.id.get(),
                name: module.name,
                kind: module.kind,
                children: Vec::new(),
            });
        }
    }
    Ok(root)
}
