//! How a command ends, and with which exit code.

use std::process::ExitCode;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum End {
    /// It could not.
    Failed(anyhow::Error),
    /// It was asked wrongly, or for something unsafe.
    Usage(String),
    /// It looked for problems and has shown some.
    Problems,
}

/// The exit codes, for help texts.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or an unsafe setting, 3 problems found";

impl End {
    /// The exit code of the program.
    pub fn code(ended: &Result<(), End>) -> ExitCode {
        ExitCode::from(match ended {
            Ok(()) => 0,
            Err(Self::Failed(_)) => 1,
            Err(Self::Usage(_)) => 2,
            Err(Self::Problems) => 3,
        })
    }
}

impl<E: Into<anyhow::Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
