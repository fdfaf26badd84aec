use super::Global;
use crate::end::End;
use clap::Args;

/// Try it out
#[derive(Args)]
pub struct Demo;

impl Demo {
    pub fn run(self, _global: &Global) -> Result<(), End> {
        Err(End::Failed(anyhow::anyhow!("not there yet")))
    }
}
