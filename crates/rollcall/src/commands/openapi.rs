//! `rollcall openapi`: the description of the API for programs.

use crate::end::End;
use clap::Args;

/// Print the OpenAPI document of the API
#[derive(Args)]
#[command(after_help = "Example:
  rollcall openapi > openapi.json")]
pub struct OpenApi;

impl OpenApi {
    pub fn run(self) -> Result<(), End> {
        Err(End::Failed(anyhow::anyhow!("not there yet")))
    }
}
