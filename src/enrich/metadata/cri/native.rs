//! What containerd itself says of a container that is no pod's: of `ctr` and nerdctl.
//!
//! Owns: one call of containerd's own interface (`api/services/containers/v1/containers.proto`; the numbers of the fields
//! are from there), on the socket that it speaks the other on too. The name of the image is in containerd's database
//! alone; that is a file of bolt's which containerd holds locked and changes page by page, and is asked for, not read. Must
//! not own: asking (`client`), what fits into a record (`facts`).

use super::answers::by_id;
use super::client::{Client, Failure};
use super::wire::{Malformed, Value, entry, fields, text};
use super::{MALFORMED, OTHER_CONTAINER};
use crate::enrich::metadata::facts::{Metadata, image, name};
use crate::model::clock::{SECOND, rfc3339};

/// The call.
const GET: (&str, &str) = ("containerd.services.containers.v1.Containers", "Get");
/// What nerdctl calls a container is a label of it.
const NERDCTL_NAME: &str = "nerdctl/name";

/// `containerd.services.containers.v1.Container`, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Container<'a> {
    id: &'a str,
    /// As nerdctl's user chose it.
    name: &'a str,
    image: &'a str,
    /// When it was made, in nanoseconds after 1970.
    created_ns: u64,
}

/// Asks for the container of this id in a namespace of containerd's.
pub(super) async fn ask(client: &Client, namespace: &str, id: &str) -> Result<Metadata, Failure> {
    let answer = client.call_in(GET, Some(namespace), &by_id(id)).await?;
    let container = container(&answer).map_err(|_| Failure::Other(MALFORMED))?;
    if container.id != id {
        return Err(Failure::Other(OTHER_CONTAINER));
    }
    Ok(taken(&container))
}

/// What is taken of an answer.
pub(super) fn taken(container: &Container<'_>) -> Metadata {
    Metadata {
        name: name(container.name),
        image: image(container.image),
        created: (container.created_ns > 0).then(|| rfc3339(container.created_ns)),
        ..Metadata::default()
    }
}

/// `GetContainerResponse`.
pub(super) fn container(answer: &[u8]) -> Result<Container<'_>, Malformed> {
    let mut found = Container::default();
    for field in fields(super::answers::message(answer, 1)?) {
        match field? {
            (1, Value::Bytes(id)) => found.id = text(id)?,
            (2, Value::Bytes(label)) => {
                if let (NERDCTL_NAME, name) = entry(label)? {
                    found.name = name;
                }
            }
            (3, Value::Bytes(image)) => found.image = text(image)?,
            (8, Value::Bytes(time)) => found.created_ns = timestamp(time)?,
            _ => {}
        }
    }
    Ok(found)
}

/// `google.protobuf.Timestamp`; a time before 1970 or after 2554 is none.
fn timestamp(time: &[u8]) -> Result<u64, Malformed> {
    let (mut seconds, mut nanoseconds) = (0u64, 0);
    for field in fields(time) {
        match field? {
            (1, Value::Number(number)) => seconds = number,
            (2, Value::Number(number)) => nanoseconds = number.min(SECOND - 1),
            _ => {}
        }
    }
    Ok(seconds.checked_mul(SECOND).and_then(|time| time.checked_add(nanoseconds)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::wire::bytes;
    use super::*;

    #[test]
    fn whole_answers() {
        let label = |key: &str, value: &str| {
            bytes(2, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
        };
        let own = [
            bytes(1, b"box"),
            label("a", "b"),
            label(NERDCTL_NAME, "web"),
            bytes(3, b"docker.io/library/box:1"),
            bytes(5, b"the spec"),
            bytes(8, &[8, 3, 16, 7]),
        ];
        let answer = bytes(1, &own.concat());
        let expected = Container {
            id: "box",
            name: "web",
            image: "docker.io/library/box:1",
            created_ns: 3 * SECOND + 7,
        };
        assert_eq!(container(&answer), Ok(expected));
        assert_eq!(taken(&container(&answer).unwrap()).created.unwrap(), "1970-01-01T00:00:03.000000007Z");
        assert_eq!(container(&[]), Ok(Container::default()));
        assert_eq!(container(&bytes(1, &bytes(3, &[0xff]))), Err(Malformed));
        // Minus one second.
        let before = [&[8][..], &[0xff; 9], &[1]].concat();
        assert_eq!(timestamp(&before), Ok(0));
    }
}
