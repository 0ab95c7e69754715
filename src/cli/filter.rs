//! Choosing findings.
//!
//! Owns: what the filters mean. Must not own: reading records.

use crate::cli::args::Filters;
use crate::cli::failure::Failure;
use crate::model::clock::{SECOND, parse_rfc3339};
use crate::model::finding::{CATEGORY, Record, property};
use crate::sys::clock;

/// Filters, understood.
#[derive(Debug)]
pub struct Filter {
    since: Option<u64>,
    until: Option<u64>,
    filters: Filters,
}

impl Filter {
    /// Reads times; says which is wrong.
    pub fn new(filters: &Filters) -> Result<Self, Failure> {
        let time = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => moment(text).map(Some).ok_or_else(|| {
                Failure::Usage(format!("--{name} {text:?} is no time; write 30m, 24h, 7d, or 2026-11-24T03:50:17Z"))
            }),
        };
        Ok(Self {
            since: time("since", &filters.since)?,
            until: time("until", &filters.until)?,
            filters: filters.clone(),
        })
    }

    /// Whether a record is wanted. Records that are no findings are not, unless `all`.
    pub fn wants(&self, record: &Record, all: bool) -> bool {
        let finding = &record.finding;
        let filters = &self.filters;
        let property = |key: &str| record.text(key).unwrap_or_default();
        let at = parse_rfc3339(&finding.create_time).unwrap_or(0);
        (all || finding.category == CATEGORY)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at <= until)
            && filters.severity.is_none_or(|least| finding.severity.is_some_and(|s| s >= least))
            && filters.container.as_ref().is_none_or(|wanted| {
                property(property::CONTAINER_ID).starts_with(wanted.as_str())
                    || property(property::CONTAINER_NAME).starts_with(wanted.as_str())
            })
            && filters.pod.as_ref().is_none_or(|wanted| property(property::POD_NAME) == wanted)
            && filters.namespace.as_ref().is_none_or(|wanted| property(property::POD_NAMESPACE) == wanted)
            && filters.state.as_ref().is_none_or(|wanted| {
                (wanted == "active") == (finding.state == crate::model::detection::State::Active)
            })
    }
}

/// `30m`, `24h`, `7d`, `90s` ago, or RFC 3339: nanoseconds after 1970.
fn moment(text: &str) -> Option<u64> {
    if let Some(at) = parse_rfc3339(text) {
        return Some(at);
    }
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let ago = number.parse::<u64>().ok()?.checked_mul(seconds)?.checked_mul(SECOND)?;
    Some(clock::now().wall_ns.saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert!(moment("30m").unwrap() < clock::now().wall_ns);
        assert_eq!(moment("1970-01-01T00:00:01Z"), Some(SECOND));
        for bad in ["", "m", "h30", "30y", "30é", "99999999999999999999d"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
