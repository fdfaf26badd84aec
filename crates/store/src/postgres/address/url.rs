//! Takes the URL of a database apart into named parameters, as libpq does. Whatever is not plain is an error, and no error quotes
//! the URL: a password with an `@` or a `/` in it puts pieces of itself anywhere.

use super::{AddressError, wrong};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;

/// What a URL looks like.
pub const FORM: &str = "postgres://USER@HOST/DATABASE";

/// What stands in the URL, by name; those that have been looked at are taken out.
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| wrong(format!("a PostgreSQL database is named as {FORM}")))?;
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong(
                "the URL holds a blank or a control character: it is written with percent, a blank as %20",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if [login, database, query].iter().any(|part| part.contains('@')) {
            return Err(wrong("an @ in a password or name of the URL is written %40, a / there %2F, a ? there %3F"));
        }
        if database.contains('/') {
            return Err(wrong("a / in the name of a database is written %2F"));
        }
        let (user, password) = login.split_once(':').unwrap_or((login, ""));

        let mut parameters = Self(BTreeMap::new());
        parameters.put("user".into(), decode(user)?)?;
        parameters.put("password".into(), decode(password)?)?;
        parameters.put("dbname".into(), decode(database)?)?;
        parameters.put_hosts(hosts)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| wrong("a parameter of the URL has no value"))?;
            parameters.put(decode(name)?, decode(value)?)?;
        }
        Ok(parameters)
    }

    fn put_hosts(&mut self, hosts: &str) -> Result<(), AddressError> {
        let mut names = Vec::new();
        let mut ports = Vec::new();
        for host in hosts.split(',').filter(|_| !hosts.is_empty()) {
            let (name, port) = match host.strip_prefix('[') {
                Some(host) => match host.split_once(']') {
                    Some((name, "")) => (name, ""),
                    Some((name, rest)) if rest.starts_with(':') => (name, &rest[1..]),
                    _ => return Err(wrong("an IP address in brackets is written as [::1] or [::1]:5432")),
                },
                None => host.split_once(':').unwrap_or((host, "")),
            };
            names.push(decode(name)?);
            ports.push(decode(port)?);
        }
        if ports.iter().all(String::is_empty) {
            ports.clear();
        }
        self.put("host".into(), names.join(","))?;
        self.put("port".into(), ports.join(","))
    }

    fn put(&mut self, name: String, value: String) -> Result<(), AddressError> {
        if value.is_empty() {
            return Ok(());
        }
        match self.0.entry(name) {
            Entry::Vacant(free) => {
                free.insert(value);
                Ok(())
            }
            Entry::Occupied(taken) => Err(wrong(format!("the URL gives {} twice", shown(taken.key())))),
        }
    }

    /// The value of a parameter.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The values of a parameter that has one for each host.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        self.take(name).map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// The value of a parameter that is one of a few words.
    pub fn one_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, AddressError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == value) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(wrong(format!("{name} takes {}", words.join(" or "))))
            }
        }
    }

    /// The value of a parameter that is a number.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, AddressError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(wrong(format!("{name} takes a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// Fails when something is left that nobody has asked for.
    pub fn end(self) -> Result<(), AddressError> {
        match self.0.keys().next() {
            Some(name) => Err(wrong(format!("{} of the URL is not known", shown(name)))),
            None => Ok(()),
        }
    }
}

/// A parameter by its name, unless that is none: then it may be a piece of a password.
fn shown(name: &str) -> String {
    let is_name = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if is_name { format!("the parameter {name}") } else { "a parameter (its name is not a word)".into() }
}

fn decode(text: &str) -> Result<String, AddressError> {
    // The crate leaves a percent sign alone that is none, and somebody's password would be another.
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(wrong(
            "a % in the URL is not followed by two hexadecimal digits: a percent sign itself is written %25",
        ));
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| wrong("the URL is not in UTF-8"))?;
    if decoded.contains('\0') {
        return Err(wrong("the URL holds a zero byte"));
    }
    Ok(decoded.into_owned())
}

/// A part of a URL, with percent signs for all that could have a meaning there.
pub fn encode(text: &str) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, PLAIN).to_string()
}
