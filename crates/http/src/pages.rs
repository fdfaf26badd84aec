//! What is answered beside the doors: health, version, measures, and pages for people.

use crate::answer::Answer;
use crate::state::State;

/// A request for a page.
pub(crate) struct Page<'a> {
    pub(crate) method: &'a hyper::Method,
    pub(crate) path: &'a str,
}

/// The page of a path, if there is one.
pub(crate) fn answer(page: &Page<'_>, state: &State) -> Option<Answer> {
    if *page.method != hyper::Method::GET {
        return None;
    }
    match page.path {
        "/healthz" => Some(health(state)),
        "/version" => Some(Answer::json(200, format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION")))),
        "/metrics" => Some(Answer::text(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            state.metrics.render(state.store.engine().size_bytes()),
        )),
        _ => None,
    }
}

/// Healthy is who can read the store.
fn health(state: &State) -> Answer {
    match state.refresh_directory() {
        Ok(()) => Answer::json(200, "{\"healthy\":true}".into()),
        Err(error) => {
            tracing::error!(%error, "the store cannot be read");
            Answer::json(503, "{\"healthy\":false}".into())
        }
    }
}
