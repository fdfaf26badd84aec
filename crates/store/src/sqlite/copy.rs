//! Whole stores from one file to another: backup beside a running server, restore where none runs. A copy appears under its name
//! only when it is complete and on disk.

use super::Sqlite;
use super::connection::Connection;
use crate::{StoreError, migrate};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

impl Sqlite {
    /// Copies a live store into a new file, consistent as of now. A file that exists is never overwritten.
    pub fn backup(file: &Path, to: &Path) -> Result<(), StoreError> {
        let copy = Copy::of(file, to)?;
        // Unlike a rename this does not replace a file that appeared in the meantime.
        std::fs::hard_link(&copy.0, to).map_err(|e| about(to, e))?;
        sync_folder(to)
    }

    /// Puts a copy in the place of a store, or where none is. Refused while any other process has the store open.
    pub fn restore(from: &Path, file: &Path) -> Result<(), StoreError> {
        let version = Self::schema_version(from)?;
        let newest = migrate::newest();
        if version < 1 || version > newest {
            let text = format!("{}: schema version {version}, known are 1 to {newest}", from.display());
            return Err(StoreError::Unavailable(text));
        }
        if let Some(first) = Self::integrity(from)?.into_iter().next() {
            let text = format!("{} is damaged: {first}", from.display());
            return Err(StoreError::Unreadable(text));
        }
        let copy = Copy::of(from, file)?;
        // Whoever opens the old file from here to the rename waits for this lock and is then told by SQLite that the file has moved.
        let lock = if file.exists() {
            let connection = Connection::open_existing(file)?;
            connection.lock_out_others()?;
            Some(connection)
        } else {
            None
        };
        // The logs of the old store must never be taken for those of the new one.
        for suffix in ["-wal", "-shm"] {
            let mut log = file.as_os_str().to_owned();
            log.push(suffix);
            match std::fs::remove_file(&log) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(about(Path::new(&log), e));
                }
                _ => {}
            }
        }
        std::fs::rename(&copy.0, file).map_err(|e| about(file, e))?;
        drop(lock);
        sync_folder(file)
    }
}

/// A complete copy under a name of its own, removed when it is not wanted any more.
struct Copy(PathBuf);

impl Copy {
    /// Copies a store into the folder of another file.
    fn of(file: &Path, beside: &Path) -> Result<Self, StoreError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(beside.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let copy = Self(beside.with_file_name(name));
        let _ = std::fs::remove_file(&copy.0);
        create_private(&copy.0).map_err(|e| about(&copy.0, e))?;
        Connection::open_existing(file)?.vacuum_into(&copy.0)?;
        File::open(&copy.0).and_then(|written| written.sync_all()).map_err(|e| about(&copy.0, e))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes an empty file that only its owner may read: a store holds digests of secrets. SQLite takes an empty file for a new store.
fn create_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(|_| ())
}

/// Makes the name of a file as durable as its content.
fn sync_folder(file: &Path) -> Result<(), StoreError> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| about(folder, e))
}

/// Makes the file of a new store, if there is none.
pub(super) fn create_store_file(file: &Path) -> Result<(), StoreError> {
    match create_private(file) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(about(file, e)),
        _ => Ok(()),
    }
}

fn about(file: &Path, error: io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::Options;

    fn make(file: &Path, mark: &str) {
        drop(Sqlite::open(Options::new(file)).unwrap());
        let raw = rusqlite::Connection::open(file).unwrap();
        raw.execute("INSERT INTO setting VALUES ('mark', ?1)", [mark]).unwrap();
    }

    fn mark(file: &Path) -> String {
        let raw = rusqlite::Connection::open(file).unwrap();
        raw.query_row("SELECT value FROM setting WHERE name = 'mark'", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_backup_comes_back_in_the_place_of_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make(&path("a"), "first");
        Sqlite::backup(&path("a"), &path("backup")).unwrap();
        assert!(Sqlite::backup(&path("a"), &path("backup")).is_err());
        make(&path("b"), "second");
        Sqlite::restore(&path("backup"), &path("b")).unwrap();
        Sqlite::restore(&path("backup"), &path("new")).unwrap();
        assert_eq!([mark(&path("b")), mark(&path("new"))], ["first", "first"]);
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["a", "b", "backup", "new"]);
    }

    #[test]
    fn a_store_in_use_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make(&path("a"), "old");
        make(&path("b"), "new");
        let open = Sqlite::open(Options::new(path("a"))).unwrap();
        let refused = Sqlite::restore(&path("b"), &path("a")).unwrap_err();
        assert!(refused.to_string().contains("in use"), "{refused}");
        drop(open);
        assert_eq!(mark(&path("a")), "old");
        Sqlite::restore(&path("b"), &path("a")).unwrap();
        assert_eq!(mark(&path("a")), "new");
    }

    #[test]
    fn who_waits_for_the_replaced_file_cannot_write_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make(&path("a"), "old");
        make(&path("b"), "new");
        let lock = Connection::open_existing(&path("a")).unwrap();
        lock.lock_out_others().unwrap();
        let late = rusqlite::Connection::open(path("a")).unwrap();
        late.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert!(late.query_row("SELECT 1 FROM setting", [], |_| Ok(())).is_err());
        std::fs::rename(path("b"), path("a")).unwrap();
        drop(lock);
        assert!(late.pragma_update(None, "journal_mode", "WAL").is_err());
        assert!(late.execute("DELETE FROM setting", []).is_err());
    }

    #[test]
    fn what_is_no_sound_store_is_not_restored() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make(&path("a"), "old");
        std::fs::write(path("text"), "x".repeat(9000)).unwrap();
        rusqlite::Connection::open(path("empty")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        make(&path("newer"), "x");
        let raw = rusqlite::Connection::open(path("newer")).unwrap();
        raw.execute("UPDATE setting SET value = '999' WHERE name = 'schema_version'", []).unwrap();
        for name in ["text", "empty", "newer", "absent"] {
            assert!(Sqlite::restore(&path(name), &path("a")).is_err(), "{name}");
        }
        assert_eq!(mark(&path("a")), "old");
    }
}
