//! Values in a database, read by offset.
//!
//! A value is 32 bits, little-endian: four of kind, 28 of a number or an offset.

use std::cell::Cell;

use super::AdbError;

const SPECIAL: u32 = 0x0;
const INT: u32 = 0x1;
const INT_32: u32 = 0x2;
const INT_64: u32 = 0x3;
const BLOB_8: u32 = 0x8;
const BLOB_16: u32 = 0x9;
const BLOB_32: u32 = 0xa;
const ARRAY: u32 = 0xd;
const OBJECT: u32 = 0xe;

/// What the root value stands behind: two bytes of version, two that are reserved.
const ROOT: usize = 4;

/// The bytes of a database, and what may still be read of it.
#[derive(Debug)]
pub(super) struct Database<'a> {
    bytes: &'a [u8],
    limit: u64,
    left: Cell<u64>,
}

/// A value that is there.
#[derive(Debug, Clone, Copy)]
struct Value(u32);

impl Value {
    fn kind(self) -> u32 {
        self.0 >> 28
    }

    fn number(self) -> usize {
        (self.0 & 0x0fff_ffff) as usize
    }
}

impl<'a> Database<'a> {
    /// A database that was vouched for. Values may add up to `limit` bytes.
    pub(super) fn new(bytes: &'a [u8], limit: u64) -> Result<Self, AdbError> {
        match bytes.first() {
            Some(0) => Ok(Self { bytes, limit, left: Cell::new(limit) }),
            Some(version) => Err(AdbError::Version { version: *version }),
            None => Err(AdbError::NoDatabase),
        }
    }

    /// Takes what something costs in memory out of the budget.
    pub(super) fn pay(&self, bytes: usize) -> Result<(), AdbError> {
        let left = self.left.get().checked_sub(bytes as u64);
        self.left.set(left.ok_or(AdbError::Growth { limit: self.limit })?);
        Ok(())
    }

    /// The root object.
    pub(super) fn root(&self) -> Result<Slots<'_>, AdbError> {
        const FIELD: &str = "root";
        let word = self.range(ROOT, 4, FIELD)?.first_chunk().copied().unwrap_or_default();
        self.slots(Value(u32::from_le_bytes(word)), FIELD)
    }

    fn range(&self, start: usize, len: usize, field: &'static str) -> Result<&[u8], AdbError> {
        let range = start.checked_add(len).and_then(|end| self.bytes.get(start..end));
        range.ok_or(AdbError::value(field, "points outside the database"))
    }

    /// A little-endian number of at most eight bytes.
    fn number(&self, start: usize, len: usize, field: &'static str) -> Result<u64, AdbError> {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(self.range(start, len, field)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Lists and objects are the same but for their kinds, and the package manager's own lists have that of objects.
    fn slots(&self, value: Value, field: &'static str) -> Result<Slots<'_>, AdbError> {
        if !matches!(value.kind(), ARRAY | OBJECT) {
            return Err(AdbError::value(field, "has no slots"));
        }
        let count = self.number(value.number(), 4, field)?;
        // The count is a slot itself.
        let size = usize::try_from(count).ok().and_then(|count| count.checked_mul(4));
        let size = size.filter(|size| *size > 0).ok_or(AdbError::value(field, "has no slots"))?;
        let raw = &self.range(value.number(), size, field)?[4..];
        self.pay(size)?;
        Ok(Slots { database: self, raw })
    }

    fn blob(&self, value: Value, field: &'static str) -> Result<&[u8], AdbError> {
        let width = match value.kind() {
            BLOB_8 => 1,
            BLOB_16 => 2,
            BLOB_32 => 4,
            _ => return Err(AdbError::value(field, "is no text")),
        };
        let len = self.number(value.number(), width, field)?;
        let len = usize::try_from(len).map_err(|_| AdbError::value(field, "points outside the database"))?;
        let bytes = self.range(value.number() + width, len, field)?;
        self.pay(len)?;
        Ok(bytes)
    }

    fn int(&self, value: Value, field: &'static str) -> Result<u64, AdbError> {
        match value.kind() {
            INT => Ok(value.number() as u64),
            INT_32 => self.number(value.number(), 4, field),
            INT_64 => self.number(value.number(), 8, field),
            _ => Err(AdbError::value(field, "is no number")),
        }
    }
}

/// The slots of an object or a list. They are numbered from 1; slots behind the last are empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots<'d> {
    database: &'d Database<'d>,
    raw: &'d [u8],
}

impl<'d> Slots<'d> {
    /// The database that it is in.
    pub(super) fn database(&self) -> &'d Database<'d> {
        self.database
    }

    /// All numbers of a list.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.raw.len() / 4
    }

    fn value(&self, slot: usize) -> Option<Value> {
        let start = slot.checked_sub(1)?.checked_mul(4)?;
        let bytes = self.raw.get(start..)?.first_chunk()?;
        let value = Value(u32::from_le_bytes(*bytes));
        (value.0 != SPECIAL).then_some(value)
    }

    /// A number.
    pub(super) fn int(&self, slot: usize, field: &'static str) -> Result<Option<u64>, AdbError> {
        self.value(slot).map(|value| self.database.int(value, field)).transpose()
    }

    /// Bytes, which may be text.
    pub(super) fn blob(&self, slot: usize, field: &'static str) -> Result<Option<&'d [u8]>, AdbError> {
        self.value(slot).map(|value| self.database.blob(value, field)).transpose()
    }

    /// An object.
    pub(super) fn object(&self, slot: usize, field: &'static str) -> Result<Option<Self>, AdbError> {
        self.value(slot).map(|value| self.database.slots(value, field)).transpose()
    }

    /// A list; an empty slot is an empty one.
    pub(super) fn list(&self, slot: usize, field: &'static str) -> Result<Self, AdbError> {
        match self.value(slot) {
            Some(value) => self.database.slots(value, field),
            None => Ok(Self { database: self.database, raw: &[] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(kind: u32, number: u32) -> [u8; 4] {
        (kind << 28 | number).to_le_bytes()
    }

    /// A database of these words, the first being the root.
    fn database(words: &[[u8; 4]]) -> Vec<u8> {
        [&[[0; 4]], words].concat().concat()
    }

    #[test]
    fn scalars_and_blobs() {
        let mut bytes = database(&[
            word(OBJECT, 8),
            9_u32.to_le_bytes(),
            word(INT, 5),
            word(INT_32, 44),
            word(INT_64, 44),
            word(BLOB_8, 52),
            word(BLOB_16, 55),
            [0; 4],
            word(SPECIAL, 1),
            word(ARRAY, 4),
            [1, 0, 0, 0x80],
            [0, 0, 0, 1],
        ]);
        bytes.extend_from_slice(b"\x02ab\x01\0c");
        let database = Database::new(&bytes, 1000).unwrap();
        let root = database.root().unwrap();
        assert_eq!(root.numbers().count(), 8);
        let int = |slot| root.int(slot, "f").map_err(|e| e.to_string());
        assert_eq!(
            (int(1), int(2), int(3)),
            (Ok(Some(5)), Ok(Some(0x8000_0001)), Ok(Some(0x0100_0000_8000_0001)))
        );
        assert_eq!(root.blob(4, "f").unwrap(), Some(&b"ab"[..]));
        assert_eq!(root.blob(5, "f").unwrap(), Some(&b"c"[..]));
        assert_eq!((int(6), int(9)), (Ok(None), Ok(None)));
        assert_eq!(int(7), Err("`f` in its database is no number".into()));
        assert_eq!(int(4), Err("`f` in its database is no number".into()));
        assert!(root.blob(1, "f").is_err() && root.object(8, "f").is_err());
    }

    /// A list of itself, over and over: the budget ends it.
    #[test]
    fn sharing_is_paid_for() {
        let bytes = database(&[word(OBJECT, 8), 2_u32.to_le_bytes(), word(OBJECT, 8)]);
        let database = Database::new(&bytes, 80).unwrap();
        let mut object = database.root().unwrap();
        let error = loop {
            match object.object(1, "next") {
                Ok(Some(next)) => object = next,
                Ok(None) => panic!("it is there"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AdbError::Growth { limit: 80 }), "{error}");
    }

    #[test]
    fn counts_and_offsets_stay_inside() {
        for words in [
            vec![],
            vec![word(OBJECT, 0x0fff_ffff)],
            vec![word(OBJECT, 8), [0; 4]],
            vec![word(OBJECT, 8), [0xff; 4]],
            vec![word(OBJECT, 8), 3_u32.to_le_bytes(), [0; 4]],
            vec![word(BLOB_8, 8), 1_u32.to_le_bytes()],
            vec![[0; 4]],
        ] {
            let bytes = database(&words);
            assert!(Database::new(&bytes, 1000).unwrap().root().is_err(), "{words:?}");
        }
        assert!(matches!(Database::new(&[1], 9), Err(AdbError::Version { version: 1 })));
        assert!(matches!(Database::new(&[], 9), Err(AdbError::NoDatabase)));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(words in proptest::collection::vec((0_u32..16, 0_u32..80), 0..20)) {
            let words: Vec<_> = words.into_iter().map(|(kind, number)| word(kind, number)).collect();
            let bytes = database(&words);
            if let Ok(database) = Database::new(&bytes, 4000)
                && let Ok(root) = database.root()
            {
                for slot in root.numbers() {
                    let _ = (root.int(slot, ""), root.blob(slot, "").is_ok(), root.list(slot, "").is_ok());
                    let _ = root.object(slot, "").is_ok();
                }
            }
        }
    }
}
