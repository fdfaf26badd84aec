//! Points in time. Columns hold UTC milliseconds, documents hold text in the store's zone.

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};

/// Milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

impl Moment {
    /// The number in columns.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// The time that a text with date, time and offset tells.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }
}

/// Whether a text is a point in time with its zone, as RFC 3339 writes it.
pub fn is_rfc3339(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T') && text.parse::<Timestamp>().is_ok()
}

/// The zone in which a store writes times; fixed when the store is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of a new store that names none.
    pub const DEFAULT_NAME: &'static str = "Asia/Shanghai";

    /// A zone by its name in the tz database; `None` if there is none of that name.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The text form in documents: `2026-11-21T10:00:00.123+08:00`.
    pub fn rfc3339(&self, moment: Moment) -> String {
        self.format(moment, "%Y-%m-%dT%H:%M:%S.%3f%:z")
    }

    /// The text form of typed records, as attributes and audit entries are: `2026-11-21 10:00:00`.
    pub fn plain(&self, moment: Moment) -> String {
        self.format(moment, "%Y-%m-%d %H:%M:%S")
    }

    /// The time that a caller's text tells: with an offset, or a date and perhaps a time in this zone. A time that the clocks skipped or
    /// showed twice is read with the offset before.
    pub fn parse(&self, text: &str) -> Option<Moment> {
        if let Some(moment) = Moment::parse_rfc3339(text) {
            return Some(moment);
        }
        let civil: DateTime = text.parse().ok()?;
        let time = self.0.to_ambiguous_timestamp(civil).compatible().ok()?;
        Some(Moment(time.as_millisecond()))
    }

    fn format(&self, moment: Moment, form: &str) -> String {
        // Milliseconds outside of jiff's years -9999 to 9999 cannot come from a clock.
        let time = Timestamp::from_millisecond(moment.0).unwrap_or(Timestamp::MAX);
        time.to_zoned(self.0.clone()).strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rfc_3339_have_a_zone() {
        for good in ["2026-11-21T10:00:00Z", "2026-11-21T10:00:00.123+08:00"] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in ["", "2026-11-21", "2026-11-21 10:00:00Z", "2026-11-21T10:00:00", "2026-13-21T10:00:00Z"] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }

    #[test]
    fn documents_carry_milliseconds_and_the_offset_of_the_zone() {
        let zone = |name| Zone::named(name).unwrap();
        assert_eq!(zone("Asia/Shanghai").rfc3339(Moment(1_795_226_400_123)), "2026-11-21T10:00:00.123+08:00");
        assert_eq!(zone("Asia/Shanghai").plain(Moment(1_795_226_400_123)), "2026-11-21 10:00:00");
        assert_eq!(zone("UTC").rfc3339(Moment(0)), "1970-01-01T00:00:00.000+00:00");
        assert_eq!(zone("America/New_York").rfc3339(Moment(1_783_000_000_000)), "2026-07-02T09:46:40.000-04:00");
        assert!(Zone::named("Nowhere/AtAll").is_none());
    }

    #[test]
    fn callers_write_times_in_several_ways() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let check = |text: &str, want: Option<i64>| assert_eq!(zone.parse(text), want.map(Moment), "{text}");
        check("2026-11-21T10:00:00.123+08:00", Some(1_795_226_400_123));
        check("2026-11-21T02:00:00Z", Some(1_795_226_400_000));
        check("2026-11-21 10:00:00", Some(1_795_226_400_000));
        check("2026-11-21T10:00:00", Some(1_795_226_400_000));
        check("2026-11-21", Some(1_795_190_400_000));
        check("10:00:00", None);
        check("tomorrow", None);
        check("", None);
    }
}
