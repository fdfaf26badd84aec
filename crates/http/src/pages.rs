//! What is answered beside the doors: health, version, measures, and pages for people.

mod docs;
mod home;
mod html;

use crate::answer::Answer;
use crate::state::State;

/// A request for a page.
pub(crate) struct Page<'a> {
    pub(crate) method: &'a hyper::Method,
    pub(crate) path: &'a str,
}

/// The page of a path, if there is one.
pub(crate) async fn answer(page: &Page<'_>, state: &State) -> Option<Answer> {
    // Of an answer to HEAD the server sends everything but the body.
    if *page.method != hyper::Method::GET && *page.method != hyper::Method::HEAD {
        return None;
    }
    match page.path {
        "/" => Some(home::answer(state, is_healthy(state).await)),
        "/api/docs" => Some(docs::answer()),
        // The page's own links begin beside it.
        "/api/docs/" => {
            Some(Answer { status: 308, ..Answer::text("text/plain", "../docs").with("location", "../docs") })
        }
        "/api/openapi.json" => Some(Answer::json(200, state.openapi().to_owned())),
        "/healthz" if is_healthy(state).await => Some(Answer::json(200, "{\"healthy\":true}".into())),
        "/healthz" => Some(Answer::json(503, "{\"healthy\":false}".into())),
        "/version" => Some(Answer::json(200, format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION")))),
        "/metrics" => Some(Answer::text(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            state.metrics.render(state.store.engine().size_bytes()),
        )),
        _ => None,
    }
}

/// Healthy is who can read the store.
async fn is_healthy(state: &State) -> bool {
    let read = state.refresh_directory().await;
    if let Err(error) = &read {
        tracing::error!(%error, "the store cannot be read");
    }
    read.is_ok()
}
