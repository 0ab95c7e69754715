//! Which records a destination gets.
//!
//! Owns: comparing a record with what was asked for. Must not own: what becomes of the others (the cursor passes them).

use crate::deliver::settings::Destination;
use crate::model::detection::Severity;
use crate::spool::summary::Summary;

/// A destination's wishes.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    severity: Option<Severity>,
    categories: Vec<String>,
    namespaces: Vec<String>,
}

impl Filter {
    /// Those of `destination`.
    pub fn new(destination: &Destination) -> Self {
        Self {
            severity: destination.severity,
            categories: destination.categories.clone(),
            namespaces: destination.namespaces.clone(),
        }
    }

    /// Whether the record is wanted. What tetherd says of itself has no severity and no namespace: it says what may be
    /// missing, so severity and namespaces do not keep it back; categories do.
    pub fn wants(&self, record: &Summary) -> bool {
        if !listed(&self.categories, &record.category) {
            return false;
        }
        let Some(severity) = record.severity else { return true };
        let namespace = record.namespace.as_deref().unwrap_or_default();
        self.severity.is_none_or(|least| severity >= least) && listed(&self.namespaces, namespace)
    }
}

/// Whether a list has the word, or says nothing.
fn listed(list: &[String], word: &str) -> bool {
    let fits = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => word.starts_with(beginning),
        None => pattern == word,
    };
    list.is_empty() || list.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{CATEGORY, CATEGORY_LOSS};

    fn record(severity: Option<&str>, category: &str, namespace: Option<&str>) -> Summary {
        Summary {
            severity: severity.map(|word| word.parse().unwrap()),
            category: category.into(),
            namespace: namespace.map(str::to_owned),
            ..Summary::default()
        }
    }

    #[test]
    fn each_wish_keeps_others_back() {
        let all = Filter::default();
        let medium = Filter { severity: Some(Severity::Medium), ..Filter::default() };
        let shop = Filter { namespaces: vec!["shop".into(), "team-*".into()], ..Filter::default() };
        let host = Filter { namespaces: vec![String::new()], ..Filter::default() };
        let own = Filter { categories: vec!["Tetherd: *".into()], ..Filter::default() };
        let found = Filter { categories: vec![CATEGORY.into()], ..Filter::default() };
        for (severity, category, namespace, wanting) in [
            (Some("LOW"), CATEGORY, None, [true, false, false, true, false, true]),
            (Some("MEDIUM"), CATEGORY, Some("shop"), [true, true, true, false, false, true]),
            (Some("CRITICAL"), CATEGORY, Some("team-a"), [true, true, true, false, false, true]),
            (Some("CRITICAL"), CATEGORY, Some("shops"), [true, true, false, false, false, true]),
            (None, CATEGORY_LOSS, None, [true, true, true, true, true, false]),
        ] {
            let record = record(severity, category, namespace);
            let wants = [&all, &medium, &shop, &host, &own, &found].map(|filter| filter.wants(&record));
            assert_eq!(wants, wanting, "{severity:?} {category} {namespace:?}");
        }
    }
}
