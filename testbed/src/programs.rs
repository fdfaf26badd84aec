//! The programs of PostgreSQL and the processes that they become.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs that are used here and by tests.
const USED: [&str; 5] = ["initdb", "postgres", "pg_basebackup", "createdb", "psql"];

/// The folder of PostgreSQL's programs and the user they run as.
#[derive(Debug, Clone)]
pub struct Programs {
    pub folder: PathBuf,
    /// User and group, when they may not be our own: PostgreSQL refuses to be run by root.
    owner: Option<(u32, u32)>,
}

impl Programs {
    pub fn find() -> anyhow::Result<Self> {
        Ok(Self { folder: find_folder()?, owner: find_owner()? })
    }

    /// A command that is not led astray by what the user has set for programs of PostgreSQL.
    pub fn command(&self, program: &str, working_folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join(program));
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").current_dir(working_folder);
        if let Some((user, group)) = self.owner {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(group);
        }
        command
    }

    /// Runs a command to its end; what it printed is told only when it fails.
    pub fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let ended = command.output().with_context(|| format!("{command:?}"))?;
        if !ended.status.success() {
            let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
            bail!("{command:?} failed, {}\n{out}{err}", ended.status);
        }
        Ok(())
    }

    /// Hands a file or folder to the user that the programs run as.
    pub fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        match self.owner {
            Some((user, group)) => Ok(std::os::unix::fs::chown(path, Some(user), Some(group))?),
            None => Ok(()),
        }
    }
}

fn find_folder() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).collect::<Vec<_>>();
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    // A folder of links may hold only some of them.
    let real = |folder: PathBuf| Some(folder.join("postgres").canonicalize().ok()?.parent()?.to_owned());
    let mut folders = named.into_iter().chain(newest_of_debian()).chain(told).filter_map(real);
    folders.find(|folder| USED.iter().all(|program| folder.join(program).is_file())).context(
        "PostgreSQL's programs are not in PATH, not where Debian puts them and not where pg_config says. \
         tools/prerequisites test installs them",
    )
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).ok()?.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let version: u32 = folder.file_name().and_then(OsStr::to_str)?.parse().ok()?;
        let folder = folder.join("bin");
        folder.join("postgres").is_file().then_some((version, folder))
    });
    versions.max().map(|(_, folder)| folder)
}

fn find_owner() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let id = |what: &str, user: &str| -> Option<u32> {
        let told = Command::new("id").args([what, user]).output().ok()?;
        String::from_utf8(told.stdout).ok()?.trim().parse().ok()
    };
    let owner = ["postgres", "nobody"].iter().find_map(|user| Some((id("-u", user)?, id("-g", user)?)));
    owner.context("PostgreSQL refuses to be run by root, and there is no user postgres or nobody").map(Some)
}

/// The processes below a process, parents first, as they are at this moment.
pub fn descendants(of: u32) -> Vec<u32> {
    let parents: Vec<_> = processes().collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.remove(0);
    found
}

/// Every process with its parent.
fn processes() -> impl Iterator<Item = (u32, u32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| {
        let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((id, stat(id)?.1))
    })
}

/// Whether a process is no more, or has ended and is only waited for.
pub fn is_gone(id: u32) -> bool {
    stat(id).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// Whether a process was told to hold still, and does.
pub fn is_held(id: u32) -> bool {
    stat(id).is_some_and(|(state, _)| state == 'T')
}

/// State and parent of a process. They follow its name, which stands in brackets and may hold anything.
fn stat(id: u32) -> Option<(char, u32)> {
    let line = std::fs::read(format!("/proc/{id}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
