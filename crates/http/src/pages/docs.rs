//! The browsable reference: shows the OpenAPI document that the same server answers.

use super::html::{Html, Page};
use crate::answer::Answer;
use std::sync::LazyLock;

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    Page::new(&Html {
        title: "Rollcall · API reference",
        style: concat!(include_str!("../../assets/page.css"), include_str!("../../assets/docs.css")),
        script: concat!(include_str!("../../assets/page.js"), include_str!("../../assets/docs.js")),
        body: include_str!("../../assets/docs.html"),
    })
});

/// The page.
pub(super) fn answer() -> Answer {
    PAGE.clone().into_answer()
}
