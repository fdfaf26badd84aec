//! The password of a database, and the files in which secrets are kept.

use super::{AddressError, wrong};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A password. Never printed.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The first line of a file, which nobody else may read.
    pub fn from_file(file: &Path) -> Result<Self, AddressError> {
        let text = read_private(file)?;
        let text = String::from_utf8(text).map_err(|_| wrong(format!("{}: not a text in UTF-8", file.display())))?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Self::new(line)),
            _ => Err(wrong(format!("{}: its first line is empty, but has to be the password", file.display()))),
        }
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The content of a file that holds a secret. Refused when others may read it, by libpq's rule for private keys: the group may only
/// read, and only a file of root's, because then an administrator has chosen the group.
pub fn read_private(file: &Path) -> Result<Vec<u8>, AddressError> {
    /// More than any secret is long; `/dev/zero` is longer.
    const MOST_BYTES: u64 = 64 * 1024;
    let about = |error: std::io::Error| wrong(format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(about)?;
    let metadata = opened.metadata().map_err(about)?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & others != 0 {
        let name = file.display();
        let mode = metadata.mode() & 0o777;
        return Err(wrong(format!("{name}: others may read or change it (mode {mode:o}): use `chmod 600 {name}`")));
    }
    let mut content = Vec::new();
    opened.take(MOST_BYTES).read_to_end(&mut content).map_err(about)?;
    Ok(content)
}
