//! The hash slots of a cluster: the slot of a key, and the answers of servers about the owners of slots.

use redis::{ErrorKind, FromRedisValue, RedisError, ServerError, ServerErrorKind, Value};

use super::server::Address;

/// The number of slots.
pub(super) const SLOTS: u16 = 16_384;

/// The slots from `first` to `last`, and the server that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) owner: Address,
}

/// The answer of a server that does not have a slot. It has done nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// Another server has the slot, also for all later requests.
    Moved { slot: u16, owner: Address },
    /// The slot is moving, and this key may be with the new server already. The request asks there for once.
    Ask { owner: Address },
}

/// Returns the slot of the server's keys of a request, `{key}` and those that begin with it.
pub(super) fn slot_of(key: &str) -> u16 {
    // The text between the first braces counts, unless it is empty.
    let crc = match key.split('}').next() {
        Some(tag) if !tag.is_empty() => crc16(tag.as_bytes()),
        _ => crc16(format!("{{{key}}}").as_bytes()),
    };
    crc % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC: [u16; 256] = {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

impl Redirect {
    /// Reads an answer of the server at this host; `None` if it is another one.
    pub(super) fn of(error: &ServerError, host: &str) -> Option<Redirect> {
        let kind = error.kind().filter(|kind| matches!(kind, ServerErrorKind::Moved | ServerErrorKind::Ask))?;
        // The slot, and the address: `3999 127.0.0.1:6381`.
        let (slot, address) = error.details()?.split_once(' ')?;
        let (slot, (name, port)) = (slot.parse().ok().filter(|slot| *slot < SLOTS)?, address.trim().rsplit_once(':')?);
        let owner = (known(name, host), port.parse().ok()?);
        Some(if kind == ServerErrorKind::Moved { Redirect::Moved { slot, owner } } else { Redirect::Ask { owner } })
    }

    pub(super) fn owner(&self) -> &Address {
        match self {
            Redirect::Moved { owner, .. } | Redirect::Ask { owner } => owner,
        }
    }
}

/// Reads the reply to `CLUSTER SLOTS` of the server at this host.
pub(super) fn ranges(reply: Value, host: &str) -> Result<Vec<Range>, RedisError> {
    let range = |entry: Vec<Value>| -> Option<Range> {
        let mut parts = entry.into_iter();
        let mut number = || u16::from_redis_value(parts.next()?).ok().filter(|slot| *slot < SLOTS);
        let (first, last) = (number()?, number()?);
        // The primary: its host, which it may not know, its port, and more. The replicas follow.
        let mut primary = Vec::<Value>::from_redis_value(parts.next()?).ok()?.into_iter();
        let name = Option::<String>::from_redis_value(primary.next()?).ok()?.unwrap_or_default();
        let port = u16::from_redis_value(primary.next()?).ok()?;
        Some(Range { first, last, owner: (known(&name, host), port) })
    };
    let entries: Vec<Vec<Value>> = Vec::from_redis_value(reply)?;
    match entries.into_iter().map(range).collect::<Option<Vec<_>>>() {
        Some(ranges) if !ranges.is_empty() => Ok(ranges),
        Some(_) => Err((ErrorKind::Io, "the server knows no owner of a slot: it is in no cluster").into()),
        None => Err((ErrorKind::UnexpectedReturnType, "the reply to CLUSTER SLOTS has another form").into()),
    }
}

/// Returns a host, or that of the server that was asked if it does not know.
fn known(host: &str, asked: &str) -> String {
    if host.is_empty() || host == "?" { asked.to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ServerError {
        match redis::parse_redis_value(format!("-{text}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12_182);
        // `{foo}bar}`: up to the first brace.
        assert_eq!(slot_of("foo}bar"), slot_of("foo"));
        // `{}bar}`: nothing is between the braces.
        assert_eq!(slot_of("}bar"), crc16(b"{}bar}") % SLOTS);
    }

    #[test]
    fn redirects_are_read() {
        let moved = Redirect::of(&error("MOVED 3999 10.0.0.1:6381"), "h");
        assert_eq!(moved, Some(Redirect::Moved { slot: 3_999, owner: ("10.0.0.1".into(), 6_381) }));
        let ask = Redirect::of(&error("ASK 1 ::1:6381"), "h");
        assert_eq!(ask, Some(Redirect::Ask { owner: ("::1".into(), 6_381) }));
        for unknown in ["MOVED 1 :7", "MOVED 1 ?:7"] {
            assert_eq!(Redirect::of(&error(unknown), "h").unwrap().owner(), &("h".to_owned(), 7));
        }
        for other in ["TRYAGAIN later", "ERR 1 h:7", "MOVED 16384 h:7", "MOVED 1 h:70000", "MOVED", "ASK 1 h"] {
            assert_eq!(Redirect::of(&error(other), "h"), None, "{other}");
        }
    }

    #[test]
    fn the_owners_of_slots_are_read() {
        let text = "*2\r\n*4\r\n:0\r\n:5460\r\n*3\r\n$1\r\na\r\n:1\r\n$2\r\nid\r\n*3\r\n$1\r\nr\r\n:9\r\n$2\r\nid\r\n\
                    *3\r\n:5461\r\n:16383\r\n*2\r\n$-1\r\n:2\r\n";
        let read = ranges(redis::parse_redis_value(text.as_bytes()).unwrap(), "h").unwrap();
        let range = |first, last, host: &str, port| Range { first, last, owner: (host.to_owned(), port) };
        assert_eq!(read, [range(0, 5_460, "a", 1), range(5_461, 16_383, "h", 2)]);
        for bad in
            ["*0\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n", "*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n$1\r\na\r\n:1\r\n", ":1\r\n"]
        {
            assert!(ranges(redis::parse_redis_value(bad.as_bytes()).unwrap(), "h").is_err(), "{bad}");
        }
    }
}
