//! What the runtime's answers say (`runtime.v1`, cri-api's `api.proto`; the numbers of the fields are from there).
//!
//! Owns: the parts of `ContainerStatus`, `PodSandboxStatus` and `ListContainers` that are of interest, unchecked. Must not
//! own: asking (`client`), what fits into a record (`facts`).

use super::wire::{Malformed, Value, bytes, entry, fields, text};

/// Labels or annotations, as they came.
pub(super) type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// `runtime.v1.ContainerStatus`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Container<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// How often it was started anew.
    pub(super) attempt: u32,
    /// When it was made, in nanoseconds after 1970.
    pub(super) created_ns: u64,
    /// As it was asked for.
    pub(super) image: &'a str,
    /// What it was resolved to: with a digest where there is one.
    pub(super) image_ref: &'a str,
    pub(super) annotations: Pairs<'a>,
}

/// `runtime.v1.PodSandboxStatus`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sandbox<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) namespace: &'a str,
    pub(super) labels: Pairs<'a>,
    pub(super) annotations: Pairs<'a>,
}

/// `ContainerStatusRequest` and `PodSandboxStatusRequest`: the id.
pub(super) fn by_id(id: &str) -> Vec<u8> {
    bytes(1, id.as_bytes())
}

/// `ListContainersRequest` for one container.
pub(super) fn listed(id: &str) -> Vec<u8> {
    bytes(1, &by_id(id))
}

/// `ContainerStatusResponse`.
pub(super) fn container(answer: &[u8]) -> Result<Container<'_>, Malformed> {
    let mut found = Container::default();
    for field in fields(message(answer, 1)?) {
        match field? {
            (1, Value::Bytes(id)) => found.id = text(id)?,
            (2, Value::Bytes(metadata)) => (found.name, found.attempt) = name_and_attempt(metadata)?,
            (4, Value::Number(at)) => found.created_ns = at,
            (8, Value::Bytes(image)) => found.image = image_name(image)?,
            (9, Value::Bytes(reference)) => found.image_ref = text(reference)?,
            (13, Value::Bytes(pair)) => found.annotations.push(entry(pair)?),
            _ => {}
        }
    }
    Ok(found)
}

/// `PodSandboxStatusResponse`.
pub(super) fn sandbox(answer: &[u8]) -> Result<Sandbox<'_>, Malformed> {
    let mut found = Sandbox::default();
    for field in fields(message(answer, 1)?) {
        match field? {
            (1, Value::Bytes(id)) => found.id = text(id)?,
            (2, Value::Bytes(metadata)) => {
                for field in fields(metadata) {
                    match field? {
                        (1, Value::Bytes(name)) => found.name = text(name)?,
                        (2, Value::Bytes(uid)) => found.uid = text(uid)?,
                        (3, Value::Bytes(namespace)) => found.namespace = text(namespace)?,
                        _ => {}
                    }
                }
            }
            (7, Value::Bytes(pair)) => found.labels.push(entry(pair)?),
            (8, Value::Bytes(pair)) => found.annotations.push(entry(pair)?),
            _ => {}
        }
    }
    Ok(found)
}

/// The sandbox of the container in a `ListContainersResponse`. A filter takes the beginning of an id for the id, so that
/// others may be listed as well.
pub(super) fn sandbox_of<'a>(answer: &'a [u8], id: &str) -> Result<Option<&'a str>, Malformed> {
    for field in fields(answer) {
        let (1, Value::Bytes(listed)) = field? else { continue };
        let (mut own, mut sandbox) = ("", "");
        for field in fields(listed) {
            match field? {
                (1, Value::Bytes(id)) => own = text(id)?,
                (2, Value::Bytes(id)) => sandbox = text(id)?,
                _ => {}
            }
        }
        if own == id {
            return Ok(Some(sandbox));
        }
    }
    Ok(None)
}

/// The message in the last field of this number: later ones replace earlier ones.
pub(super) fn message(answer: &[u8], wanted: u64) -> Result<&[u8], Malformed> {
    let mut found = &[][..];
    for field in fields(answer) {
        if let (number, Value::Bytes(message)) = field?
            && number == wanted
        {
            found = message;
        }
    }
    Ok(found)
}

/// `ContainerMetadata`.
fn name_and_attempt(metadata: &[u8]) -> Result<(&str, u32), Malformed> {
    let (mut name, mut attempt) = ("", 0);
    for field in fields(metadata) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Number(number)) => attempt = u32::try_from(number).map_err(|_| Malformed)?,
            _ => {}
        }
    }
    Ok((name, attempt))
}

/// `ImageSpec`: what the user wrote (`user_specified_image`), else `image`, which may be an id.
fn image_name(spec: &[u8]) -> Result<&str, Malformed> {
    let (mut image, mut written) = ("", "");
    for field in fields(spec) {
        match field? {
            (1, Value::Bytes(bytes)) => image = text(bytes)?,
            (18, Value::Bytes(bytes)) => written = text(bytes)?,
            _ => {}
        }
    }
    Ok(if written.is_empty() { image } else { written })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(field: u64, value: u8) -> Vec<u8> {
        vec![(field << 3) as u8, value]
    }

    fn pair(field: u64, key: &str, value: &str) -> Vec<u8> {
        bytes(field, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
    }

    #[test]
    fn whole_answers() {
        let status = [
            bytes(1, b"c1"),
            bytes(2, &[bytes(1, b"app"), number(2, 3)].concat()),
            number(3, 1),
            number(4, 77),
            bytes(8, &bytes(1, b"box:1")),
            bytes(9, b"box@sha256:1"),
            pair(12, "x", "y"),
            pair(13, "a", "b"),
        ];
        let answer = [bytes(1, &status.concat()), pair(2, "info", "{}")].concat();
        let expected = Container {
            id: "c1",
            name: "app",
            attempt: 3,
            created_ns: 77,
            image: "box:1",
            image_ref: "box@sha256:1",
            annotations: vec![("a", "b")],
        };
        assert_eq!(container(&answer), Ok(expected));
        let written = bytes(1, &bytes(8, &[bytes(1, b"sha256:1"), bytes(18, b"box:1")].concat()));
        assert_eq!(container(&written).unwrap().image, "box:1");

        let metadata = [bytes(1, b"web"), bytes(2, b"u"), bytes(3, b"shop"), number(4, 1)].concat();
        let status =
            [bytes(1, b"s1"), bytes(2, &metadata), pair(7, "app", "web"), pair(8, "c", "d")].concat();
        let expected = Sandbox {
            id: "s1",
            name: "web",
            uid: "u",
            namespace: "shop",
            labels: vec![("app", "web")],
            annotations: vec![("c", "d")],
        };
        assert_eq!(sandbox(&bytes(1, &status)), Ok(expected));

        let one = |id: &[u8], sandbox: &[u8]| bytes(1, &[bytes(1, id), bytes(2, sandbox)].concat());
        let list = [one(b"c11", b"s9"), one(b"c1", b"s1")].concat();
        assert_eq!(sandbox_of(&list, "c1"), Ok(Some("s1")));
        assert_eq!(sandbox_of(&list, "c"), Ok(None));
        assert_eq!(container(&[]), Ok(Container::default()));
        assert_eq!(container(&[10, 9]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_answer_is_safe(answer in proptest::collection::vec(any::<u8>(), 0..300)) {
            for answer in [answer.clone(), bytes(1, &answer)] {
                let _ = (container(&answer), sandbox(&answer), sandbox_of(&answer, "a"));
            }
        }

        /// As a runtime could answer, but with any bytes for each text: read whole, or refused whole.
        #[test]
        fn any_texts_are_safe(texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 6)) {
            let [id, name, image, written, key, value] = texts.as_slice() else { return Ok(()) };
            let pair = |field| bytes(field, &[bytes(1, key), bytes(2, value)].concat());
            let spec = [bytes(1, image), bytes(18, written)].concat();
            let status = [bytes(1, id), bytes(2, &bytes(1, name)), bytes(8, &spec), pair(13), pair(13)].concat();
            let answer = bytes(1, &status);
            let valid = texts.iter().all(|text| std::str::from_utf8(text).is_ok());
            prop_assert_eq!(container(&answer).is_ok(), valid);
            if let Ok(found) = container(&answer) {
                let image = if written.is_empty() { image } else { written };
                prop_assert_eq!((found.id.as_bytes(), found.name.as_bytes()), (id.as_slice(), name.as_slice()));
                prop_assert_eq!((found.image.as_bytes(), found.annotations.len()), (image.as_slice(), 2));
            }
        }
    }
}
