//! Where destinations begin.
//!
//! Owns: taking up a stored cursor, the first place of a destination without one, removing the cursors of destinations
//! that are gone, and what is said of all that. Must not own: moving a cursor (`worker`).
//!
//! A cursor that cannot be used is not worth a loss: what is stored is sent again.

use std::path::Path;

use crate::deliver::settings::{Destination, Start};
use crate::spool::cursor::Cursor;
use crate::spool::error::SpoolError;
use crate::spool::reader::{Reader, Resumption};

/// The place that a destination begins behind.
///
/// # Errors
/// The spool cannot be read, or the place of a new destination not be stored.
pub fn first(spool: &Path, destination: &Destination) -> Result<Cursor, SpoolError> {
    let name = &destination.name;
    match Cursor::load(spool, name) {
        Ok(Some(cursor)) => return Ok(cursor),
        Err(error @ SpoolError::CursorDamaged { .. }) => {
            log::warn!("{name}: {error}; everything in the spool is sent again");
            return Ok(Cursor::default());
        }
        Ok(None) => {}
        Err(error) => return Err(error),
    }
    let cursor = match destination.start {
        Start::Oldest => Cursor::default(),
        Start::Newest => Reader::newest(spool)?.cursor(),
    };
    // At once: begun twice at the newest record, it would pass over what came between.
    cursor.store(spool, name)?;
    match destination.start {
        Start::Oldest => log::info!("{name}: a new destination; it begins with the oldest record"),
        Start::Newest => log::info!("{name}: a new destination; it begins behind record {}", cursor.sequence),
    }
    Ok(cursor)
}

/// A reader behind `cursor`; says so where it does not begin exactly there.
///
/// # Errors
/// The spool cannot be read.
pub fn behind(spool: &Path, name: &str, cursor: Cursor) -> Result<Reader, SpoolError> {
    let reader = Reader::after(spool, cursor)?;
    let sequence = cursor.sequence;
    match reader.resumption() {
        Resumption::Exact => {}
        Resumption::SegmentAgain => log::warn!(
            "{name}: its cursor names record {sequence}, which is not there; that segment is sent again from its beginning"
        ),
        Resumption::Oldest => log::warn!(
            "{name}: its cursor names record {sequence}, and the spool ends before that; everything in it is sent again"
        ),
    }
    Ok(reader)
}

/// Removes the cursors of destinations that are not configured any more, and says so.
pub fn tidy(spool: &Path, destinations: &[Destination]) {
    let names = match Cursor::names(spool) {
        Ok(names) => names,
        Err(error) => return log::warn!("deliver: {error}"),
    };
    for name in names.iter().filter(|name| destinations.iter().all(|kept| kept.name != **name)) {
        let at = Cursor::load(spool, name).ok().flatten().map_or(0, |cursor| cursor.sequence);
        match Cursor::remove(spool, name) {
            Ok(()) => log::info!(
                "{name}: no destination any more; its cursor, which stood behind record {at}, was removed"
            ),
            Err(error) => log::warn!("{name}: no destination any more, but {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::segment::Position;

    fn named(name: &str, start: Start) -> Destination {
        Destination { name: name.into(), start, ..Destination::default() }
    }

    #[test]
    fn a_place_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let line = |n: u64| {
            let now = crate::model::clock::Moment::default();
            let properties = [("Sequence".to_owned(), n.to_string().into())].into();
            let record = crate::spool::record::observation("x", "y", properties, now, "boot");
            format!("{}\n", serde_json::to_string(&record).unwrap())
        };
        let segment = dir.path().join("findings-000000000001.jsonl");
        std::fs::write(&segment, line(1) + &line(2)).unwrap();
        let newest = first(dir.path(), &named("new", Start::Newest)).unwrap();
        assert_eq!(newest.sequence, 2);
        assert_eq!(first(dir.path(), &named("old", Start::Oldest)).unwrap(), Cursor::default());
        std::fs::write(&segment, line(1) + &line(2) + &line(3)).unwrap();
        assert_eq!(first(dir.path(), &named("new", Start::Newest)).unwrap(), newest);
        let entry = behind(dir.path(), "new", newest).unwrap().next().unwrap().unwrap();
        assert_eq!(entry.record.sequence(), 3);

        std::fs::write(dir.path().join("cursor.new"), "x").unwrap();
        assert_eq!(first(dir.path(), &named("new", Start::Newest)).unwrap(), Cursor::default());
        assert!(first(&dir.path().join("gone"), &named("new", Start::Newest)).is_err());
    }

    #[test]
    fn only_strangers_cursors_go() {
        let dir = tempfile::tempdir().unwrap();
        let cursor = Cursor { position: Position { segment: 1, offset: 9 }, sequence: 3 };
        for name in ["kept", "off", "gone"] {
            cursor.store(dir.path(), name).unwrap();
        }
        let off = Destination { enabled: false, ..named("off", Start::Oldest) };
        tidy(dir.path(), &[named("kept", Start::Oldest), off]);
        assert_eq!(Cursor::names(dir.path()).unwrap(), ["kept", "off"]);
    }
}
