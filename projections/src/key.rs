//! Keys: a table byte, then parts that sort as what they stand for.
//!
//! Numbers are big-endian. A name ends with the byte 0; within it 0 is written `1 1` and 1 is
//! written `1 2`, so names sort by their bytes, a prefix before what it begins, whatever follows.

use events::{Millis, OrderId};
use uuid::Uuid;

/// A moment and an order, so that the newest sorts first, and of two of the same moment the one with
/// the higher id.
pub(crate) type Place = [u8; MOMENT_BYTES + ORDER_BYTES];

const MOMENT_BYTES: usize = size_of::<Millis>();
const ORDER_BYTES: usize = size_of::<OrderId>();
const END: u8 = 0;
const ESCAPE: u8 = 1;

/// A key being put together.
#[derive(Clone)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// A key of this table. Table 0 is the [`Mark`](crate::Mark)'s.
    pub fn table(table: u8) -> Self {
        let mut bytes = Vec::with_capacity(80);
        bytes.push(table);
        Self(bytes)
    }

    /// Goes on with a name: any text.
    pub fn name(mut self, name: &str) -> Self {
        for byte in name.bytes() {
            match byte {
                END | ESCAPE => self.0.extend([ESCAPE, byte + 1]),
                _ => self.0.push(byte),
            }
        }
        self.0.push(END);
        self
    }

    /// Goes on with the bytes of a UUID.
    pub fn id(mut self, id: &[u8; 16]) -> Self {
        self.0.extend(id);
        self
    }

    /// Goes on with one byte.
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    /// Goes on with a place.
    pub fn place(mut self, place: &Place) -> Self {
        self.0.extend(place);
        self
    }

    /// The key.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// All keys that begin with this one: the first possible, and the first behind them.
    pub fn range(self) -> (Vec<u8>, Vec<u8>) {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        (self.0, end)
    }
}

/// The place of an order that was placed at this moment.
pub(crate) fn newest_first(at: Millis, order: OrderId) -> Place {
    let mut place = [0; _];
    let (moment, id) = place.split_at_mut(MOMENT_BYTES);
    let rising = (at.0 as u64) ^ (1 << 63);
    moment.copy_from_slice(&(!rising).to_be_bytes());
    id.copy_from_slice(&order.0.into_bytes().map(|byte| !byte));
    place
}

/// Whose place this is.
pub(crate) fn read_place(place: &Place) -> (Millis, OrderId) {
    let (mut moment, mut id) = ([0; MOMENT_BYTES], [0; ORDER_BYTES]);
    moment.copy_from_slice(&place[..MOMENT_BYTES]);
    id.copy_from_slice(&place[MOMENT_BYTES..]);
    let rising = !u64::from_be_bytes(moment);
    (Millis((rising ^ (1 << 63)) as i64), OrderId(Uuid::from_bytes(id.map(|byte| !byte))))
}

/// Takes the next name off a key, or `None` where there is none.
pub(crate) fn read_name(key: &mut &[u8]) -> Option<String> {
    let end = key.iter().position(|byte| *byte == END)?;
    let (written, rest) = (&key[..end], &key[end + 1..]);
    let mut name = Vec::with_capacity(end);
    let mut bytes = written.iter();
    while let Some(byte) = bytes.next() {
        name.push(if *byte == ESCAPE { bytes.next()?.checked_sub(1)? } else { *byte });
    }
    *key = rest;
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::order_id;

    #[test]
    fn names_sort_by_their_bytes_and_read_back() {
        let mut names = vec![
            "a",
            "a\0",
            "a\0\0",
            "a\0\u{1}",
            "a\u{1}",
            "a\u{1}\0",
            "a\u{2}",
            "ab",
            "b",
            "\0",
            "\u{1}",
            "书",
            "书店",
            "~",
            "\u{10ffff}",
        ];
        names.sort();
        let key = |name: &str| Key::table(7).name(name).name("z").bytes();
        assert!(names.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        for name in names {
            let bytes = key(name);
            let mut rest = &bytes[1..];
            assert_eq!(read_name(&mut rest).as_deref(), Some(name));
            assert_eq!(read_name(&mut rest).as_deref(), Some("z"));
            assert_eq!(rest, b"");
        }
        assert_eq!(read_name(&mut &b"cut"[..]), None);
    }

    #[test]
    fn a_name_s_range_holds_nothing_of_a_longer_name() {
        let (from, to) = Key::table(1).name("a").range();
        let within = |key: Vec<u8>| from <= key && key < to;
        assert!(within(Key::table(1).name("a").name("x").bytes()));
        assert!(within(Key::table(1).name("a").byte(255).byte(255).bytes()));
        assert!(!within(Key::table(1).name("ab").name("x").bytes()));
        assert!(!within(Key::table(1).name("a\0").name("x").bytes()));
        assert!(!within(Key::table(2).name("a").name("x").bytes()));
        let (_, end) = Key::table(1).byte(255).byte(255).range();
        assert_eq!(end, [2]);
    }

    #[test]
    fn the_newest_comes_first_and_reads_back() {
        let place = |at, order| newest_first(Millis(at), order_id(order));
        let times = [i64::MAX, 5, 0, -1, i64::MIN];
        assert!(times.windows(2).all(|pair| place(pair[0], 1) < place(pair[1], 1)));
        assert!(place(5, 2) < place(5, 1));
        for at in times {
            assert_eq!(read_place(&place(at, 7)), (Millis(at), order_id(7)));
        }
    }
}
