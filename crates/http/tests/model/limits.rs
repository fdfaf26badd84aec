//! Calls that carry as many items as they may, or one more (`instances` 2.2).

use crate::ops::Limited;
use crate::world::*;
use crate::{instances, labels, processes, searches};
use serde_json::json;

/// The first process with its instance if there is one; unknown ones instead.
fn some(world: &World) -> (Stated, i64, i64) {
    let Some(process) = world.processes.first() else { return (Stated::Is(2), UNKNOWN, UNKNOWN) };
    let business = world.instance(process.instance).unwrap().business;
    (Stated::Is(business), process.instance, process.id)
}

/// A list with its greatest length and so many items more. The items are equal.
pub fn at_limit(world: &World, list: Limited, more: usize) -> (Request, Expect) {
    let (business, instance, process) = some(world);
    match list {
        Limited::Updates => {
            let fields = |id: i64| json!({"bk_process_id": id, "bk_process_name": "alone", "bk_func_name": "alone"});
            processes::update(world, business, vec![fields(process); 100 + more])
        }
        Limited::UpdatesById => {
            processes::by_id(world, business, &vec![process; 1000 + more], &json!({"user": "many"}))
        }
        Limited::DeletedProcesses => processes::delete(business, vec![UNKNOWN; 500 + more]),
        Limited::DeletedInstances => instances::delete(world, business, vec![instance; 500 + more]),
        Limited::Renamed => instances::rename(business.or_zero(), vec![(instance, json!({"name": "all"})); 100 + more]),
        Limited::LabelsAdded => {
            let labels = [("env".to_owned(), "many".to_owned())].into();
            labels::change(world, business, vec![instance; 100 + more], labels::Change::Add(labels))
        }
        Limited::LabelsRemoved => {
            labels::change(world, business, vec![instance; 500 + more], labels::Change::Remove(vec!["env"]))
        }
        Limited::Details => searches::details_of_business(world, business.or_zero(), &vec![process; 500 + more], &[]),
        Limited::Hosts => many_hosts(business, 1000 + more),
    }
}

fn many_hosts(business: Stated, count: usize) -> (Request, Expect) {
    let mut body = json!({"bk_host_ids": vec![UNKNOWN; count]});
    business.put(&mut body, "bk_biz_id");
    let request = Request::new("list_service_instance", "/findmany/proc/service_instance", body);
    if count > 1000 {
        return (request, Expect::refused(1_199_035));
    }
    (request, Expect::done(|_, data| same("the list", data, &json!({"count": 0, "info": []}))))
}
