//! Protocol buffers on the wire, as much as the container runtime interface needs: numbers, and texts or messages.

/// A field that is a text or a message.
pub fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [number_alone(field << 3 | 2), number_alone(value.len() as u64), value.to_vec()].concat()
}

/// A field that is a number or a truth.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [number_alone(field << 3), number_alone(value)].concat()
}

fn number_alone(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// The first field of this number in a message, where it is a text.
pub fn text(message: &[u8], wanted: u64) -> Option<String> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = take_number(&mut rest)?;
        let value = take_number(&mut rest)?;
        if tag & 7 == 2 {
            let (value, after) = rest.split_at_checked(usize::try_from(value).ok()?)?;
            rest = after;
            if tag >> 3 == wanted {
                return String::from_utf8(value.to_vec()).ok();
            }
        }
    }
    None
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
}
