//! Protocol buffers on the wire, as far as the container runtime interface needs them.
//!
//! Owns: taking a message apart and putting one together (protobuf.dev, "Encoding"). Nothing is copied, nothing is
//! nested: whoever wants a message within a message asks for it, so that the depth is the asker's. Must not own: which
//! field means what (`answers`).

/// The most fields of one message; real ones have some dozens.
const FIELDS_MAX: usize = 4096;
/// The longest number, in bytes (64 bits, seven at a time).
const NUMBER_BYTES: u32 = 10;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Wire type 0.
    Number(u64),
    /// Wire type 2: a text, bytes, or a message.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5, which nothing of interest has.
    Fixed,
}

/// This is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message, in its order. After an error there is nothing more.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    left: usize,
}

/// Takes a message apart.
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message, left: FIELDS_MAX }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Malformed);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        self.left = self.left.checked_sub(1)?;
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups are of the first version, and 6 and 7 are nothing.
            _ => return None,
        };
        let number = tag >> 3;
        (number > 0).then_some((number, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for at in 0..NUMBER_BYTES {
            let [byte] = self.take(1)? else { return None };
            let bits = u64::from(byte & 127);
            // The tenth byte has one bit left.
            if at == NUMBER_BYTES - 1 && bits > 1 {
                return None;
            }
            value |= bits << (7 * at);
            if byte & 128 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// A text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// One entry of a map of texts: key and value, each empty where it is left out.
pub(super) fn entry(message: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut key, mut value) = ("", "");
    for field in fields(message) {
        match field? {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A field that is a text or a message.
pub(super) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 8);
    put_number(&mut out, field << 3 | 2);
    put_number(&mut out, value.len() as u64);
    out.extend_from_slice(value);
    out
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push((value & 127) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Malformed> {
        fields(message).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let message = [bytes(1, b"abc"), bytes(18, &[7; 300]), vec![5 << 3, 0xac, 2]].concat();
        let read = all(&message).unwrap();
        assert_eq!(read[0], (1, Value::Bytes(b"abc")));
        assert_eq!(read[1], (18, Value::Bytes(&[7; 300])));
        assert_eq!(read[2], (5, Value::Number(300)));
        assert_eq!(entry(&[bytes(1, b"app"), bytes(2, b"web")].concat()), Ok(("app", "web")));
        assert_eq!(entry(&bytes(2, b"web")), Ok(("", "web")));
        // -1 as int64.
        let number = [&[8][..], &[0xff; 9], &[1]].concat();
        assert_eq!(all(&number), Ok(vec![(1, Value::Number(u64::MAX))]));
        let fixed = [&[1 << 3 | 1][..], &[0; 8], &[2 << 3 | 5], &[0; 4]].concat();
        assert_eq!(all(&fixed), Ok(vec![(1, Value::Fixed), (2, Value::Fixed)]));
    }

    #[test]
    fn what_is_no_message() {
        for (what, message) in [
            ("a length beyond the end", &[10, 5, 1][..]),
            ("a length that no memory has", &[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            ("a number without an end", &[0xff; 11]),
            ("a number of more than 64 bits", &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            ("a tag alone", &[10]),
            ("a group", &[11, 12]),
            ("field 0", &[2, 0]),
            ("wire type 7", &[15]),
        ] {
            assert_eq!(all(message), Err(Malformed), "{what}");
        }
        assert_eq!(all(&[8, 1].repeat(FIELDS_MAX)).map(|all| all.len()), Ok(FIELDS_MAX));
        assert_eq!(all(&[8, 1].repeat(FIELDS_MAX + 1)), Err(Malformed));
        assert_eq!(entry(&bytes(1, &[0xff])), Err(Malformed));
    }

    proptest! {
        /// Nothing is copied and nothing invented: the values are parts of the message, one behind the other.
        #[test]
        fn any_bytes_are_safe(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (mut at, mut count) = (0, 0);
            for field in fields(&message) {
                count += 1;
                let Ok((number, Value::Bytes(value))) = field else { continue };
                prop_assert!(number > 0);
                let start = value.as_ptr() as usize - message.as_ptr() as usize;
                prop_assert!(start > at && start + value.len() <= message.len());
                at = start + value.len() - 1;
            }
            // The shortest field has two bytes; an error is the last.
            prop_assert!(count <= message.len() / 2 + 1);
            let _ = entry(&message);
        }

        #[test]
        fn what_is_put_together_comes_apart(
            parts in proptest::collection::vec((1u64..1 << 60, proptest::collection::vec(any::<u8>(), 0..40)), 0..20)
        ) {
            let message: Vec<u8> = parts.iter().flat_map(|(number, value)| bytes(*number, value)).collect();
            let expected: Vec<_> =
                parts.iter().map(|(number, value)| (*number, Value::Bytes(value))).collect();
            prop_assert_eq!(all(&message), Ok(expected));
            // Cut anywhere, it is a shorter message or none.
            for end in 0..message.len() {
                let read: Vec<_> = fields(&message[..end]).collect();
                let good = read.iter().filter(|field| field.is_ok()).count();
                prop_assert!(good < parts.len() && read.len() <= good + 1);
            }
        }
    }
}
