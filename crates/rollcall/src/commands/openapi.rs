//! `rollcall openapi`: the description of the API for programs.

use super::Global;
use crate::end::End;
use crate::output;
use clap::Args;

/// Print the OpenAPI document of the API
#[derive(Args)]
#[command(after_help = "Example:
  rollcall openapi > openapi.json")]
pub struct OpenApi;

impl OpenApi {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let config = global.load(Vec::new())?;
        output::say(rollcall_http::openapi::document_for(&config.gateway_prefix).trim_end());
        Ok(())
    }
}
