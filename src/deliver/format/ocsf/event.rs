//! A record about tetherd itself as a Base Event (class 0).
//!
//! Owns: that event. Must not own: what the records say, which kinds there are.

use serde_json::{Map, Value};

use super::super::flat::is_told;
use super::super::object::Object;
use super::{Room, device, metadata, milliseconds};
use crate::model::finding::Record;

/// The event: `unmapped` has the properties that the schema has no place for, as they are.
pub(super) fn event(record: &Record, room: Room, truncated: bool) -> Value {
    let finding = &record.finding;
    let properties = finding.source_properties.iter().filter(|(key, _)| !is_told(key));
    let unmapped: Map<String, Value> =
        properties.take(256).map(|(key, value)| (room.cut(key), room.value(value))).collect();
    Object::default()
        .put("activity_id", Some(99))
        .put("activity_name", room.text(Some(&finding.category)))
        .put("category_uid", Some(0))
        .put("class_uid", Some(0))
        .put("type_uid", Some(99))
        .put("time", milliseconds(&finding.create_time).or(Some(0)))
        .put("severity_id", Some(1))
        .put("message", room.text(Some(&finding.description)))
        .put("metadata", metadata(record, room, truncated, &["host"]))
        .put("device", device(record, room))
        .put("unmapped", room.more.then_some(unmapped))
        .some()
        .unwrap_or_default()
}
