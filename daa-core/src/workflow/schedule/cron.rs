//! Occurrences that a cron pattern names, in a time zone.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Year};
use jiff::tz::TimeZoneDatabase;
use serde::{Deserialize, Serialize};

use super::error::ScheduleError;
use super::zone::Walker;
use crate::clock::Timestamp;

/// The longest cron pattern, in bytes.
pub const MAX_PATTERN_LEN: usize = 256;
/// The longest name of a time zone, in bytes.
pub const MAX_ZONE_LEN: usize = 64;

const FIELDS: [&str; 6] = ["second", "minute", "hour", "day of month", "month", "day of week"];

/// A cron pattern in an IANA time zone, to the second.
///
/// The pattern has five fields (minute, hour, day of month, month, day of week), or six with the second first. It
/// knows names (`MON`, `JAN`), lists, ranges, steps, `L` (last), `W` (nearest weekday), `#` (nth weekday of the
/// month), and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Where both days are given, one of them is
/// enough, as in every cron; `+` before the day of week asks for both. The zones come with the library, so every
/// worker of one version computes the same.
///
/// # When the clock is changed
///
/// What happens depends on the hours that the pattern asks for.
///
/// - **Some hours** (`30 2 * * *`, `0 9-17 * * MON-FRI`): it means times of day. Those that the clock leaves out in
///   spring occur together, once, at the first moment after the gap; where that moment is an occurrence anyway, it
///   stays a single one. Those that the clock shows twice in autumn occur the first time only.
/// - **Every hour, or every nth** (`0 * * * *`, `*/15 * * * *`, `0 */2 * * *`): it means the passing of time. It
///   occurs whenever the clock shows a time that matches: never in the gap, and both times in the hour that is shown
///   twice. So an hourly pattern occurs once in every real hour, wherever the clock changes by whole hours.
///
/// # Serialised
///
/// ```
/// # use daa_core::workflow::schedule::CronSchedule;
/// let nightly: CronSchedule = serde_json::from_str(r#"{ "cron": "0 2 * * *", "zone": "Europe/Berlin" }"#)?;
/// assert_eq!(nightly.to_string(), "0 2 * * * (Europe/Berlin)");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "RawCron", into = "RawCron")]
pub struct CronSchedule {
    pattern: String,
    zone: String,
    /// Shared: a schedule is cloned often, and this part is large.
    walker: Arc<Walker>,
}

impl CronSchedule {
    /// Parses a pattern, and finds the zone.
    ///
    /// # Errors
    /// [`ScheduleError::Pattern`] or [`ScheduleError::UnknownZone`], which name what is wrong;
    /// [`ScheduleError::PatternTooLong`] or [`ScheduleError::ZoneTooLong`]. A pattern that never occurs, such as 30
    /// February, is no error: it has no next occurrence.
    pub fn new(pattern: &str, zone: &str) -> Result<Self, ScheduleError> {
        if zone.len() > MAX_ZONE_LEN {
            return Err(ScheduleError::ZoneTooLong { len: zone.len() });
        }
        let cron = parse(pattern)?;
        let unknown = || ScheduleError::UnknownZone { zone: zone.to_owned() };
        // Not the machine's own database: two workers must never disagree.
        let found = TimeZoneDatabase::bundled().get(zone).map_err(|_| unknown())?;
        let name = found.iana_name().ok_or_else(unknown)?.to_owned();
        Ok(Self {
            pattern: pattern.trim().to_owned(),
            zone: name,
            walker: Arc::new(Walker::new(cron, found)),
        })
    }

    /// The pattern, as it was given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The name of the time zone, spelled as the IANA database does.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The first occurrence after `moment`; `None` when there never is one.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.walker.next_after(moment)
    }

    /// The last occurrence not after `moment`; `None` when there is none since 1970.
    #[must_use]
    pub fn latest_by(&self, moment: Timestamp) -> Option<Timestamp> {
        self.walker.latest_by(moment)
    }
}

fn parse(pattern: &str) -> Result<Cron, ScheduleError> {
    if pattern.len() > MAX_PATTERN_LEN {
        return Err(ScheduleError::PatternTooLong { len: pattern.len() });
    }
    let wrong = |reason: String| ScheduleError::Pattern { pattern: pattern.to_owned(), reason };
    // The parser folds case by Unicode, which turns some foreign letters into ours.
    if let Some(found) = pattern.chars().find(|c| !c.is_ascii()) {
        return Err(wrong(format!("character {found:?} has no meaning")));
    }
    // The parser reads nothing as no minute, no hour: a pattern that never occurs.
    if pattern.split_whitespace().flat_map(|field| field.split(',')).any(str::is_empty) {
        return Err(wrong("an item of a list is empty".to_owned()));
    }
    parser().parse(pattern).map_err(|error| wrong(reason(pattern, error)))
}

fn parser() -> CronParser {
    CronParser::builder().year(Year::Disallowed).build()
}

/// What is wrong, and in which field: the parser does not name it.
fn reason(pattern: &str, error: CronError) -> String {
    let fields: Vec<_> = pattern.split_whitespace().collect();
    if !(FIELDS.len() - 1..=FIELDS.len()).contains(&fields.len()) {
        return format!("it has {} fields, not 5 or 6", fields.len());
    }
    let reason = match error {
        CronError::ComponentError(reason) | CronError::IllegalCharacters(reason) => reason,
        other => other.to_string(),
    };
    let names = FIELDS.get(FIELDS.len().saturating_sub(fields.len())..).unwrap_or_default();
    let alone = |place: usize, field: &str| {
        let others = ["*"; FIELDS.len()].iter().take(fields.len()).enumerate();
        others.map(|(at, &any)| if at == place { field } else { any }).collect::<Vec<_>>().join(" ")
    };
    let culprit =
        fields.iter().enumerate().find(|&(place, field)| parser().parse(&alone(place, field)).is_err());
    match culprit.and_then(|(place, field)| Some((names.get(place)?, field))) {
        Some((name, field)) => format!("{name} {field:?}: {}", plain(&reason)),
        None => plain(&reason),
    }
}

/// In the style of our own messages.
fn plain(message: &str) -> String {
    let mut letters = message.trim_start_matches("CronPattern ").trim_end_matches('.').chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCron {
    cron: String,
    zone: String,
}

impl TryFrom<RawCron> for CronSchedule {
    type Error = ScheduleError;

    fn try_from(raw: RawCron) -> Result<Self, ScheduleError> {
        Self::new(&raw.cron, &raw.zone)
    }
}

impl From<CronSchedule> for RawCron {
    fn from(schedule: CronSchedule) -> Self {
        Self { cron: schedule.pattern, zone: schedule.zone }
    }
}

// By what was written: the rest follows from it.
impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        (&self.pattern, &self.zone) == (&other.pattern, &other.zone)
    }
}

impl Eq for CronSchedule {}

impl Hash for CronSchedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.pattern, &self.zone).hash(state);
    }
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pattern, self.zone)
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronSchedule({self})")
    }
}
