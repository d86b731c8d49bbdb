//! Symbols of a block, read once more.

use crate::bits::Cursor;
use crate::huffman::{DEEPER, END, LITERAL, SPECIAL, all_bits, extended, value};
use crate::symbols::Tables;
use crate::{DeflateError, Symbol};

impl Tables {
    /// Appends the symbols that stand for so many plain bytes. They begin behind the first `shift` bits, and were read
    /// before, so nothing can be wrong with them.
    pub(crate) fn read(
        &self,
        bytes: &[u8],
        shift: u32,
        plain: u64,
        out: &mut Vec<Symbol>,
    ) -> Result<(), DeflateError> {
        let mut cursor = Cursor { bits: 0, count: 0, start: 0 };
        let mut left = plain;
        let mut skip = shift;
        while left > 0 {
            if !cursor.refill(bytes) {
                let mut more = [0; 8];
                let rest = bytes.get(cursor.start..).unwrap_or_default();
                let size = rest.len().min(7);
                more[..size].copy_from_slice(&rest[..size]);
                // Behind the end there are only zeros, which no symbol that counts is made of.
                cursor.bits |= u64::from_le_bytes(more) << cursor.count;
                let taken = ((63 - cursor.count) >> 3).min(u32::try_from(size).unwrap_or(0));
                cursor.start += taken as usize;
                cursor.count += taken * 8;
            }
            cursor.step(std::mem::take(&mut skip));
            let mut found = self.literals.look_up(cursor.bits);
            if found & LITERAL == 0 && found & (SPECIAL | DEEPER) == SPECIAL | DEEPER {
                found = self.literals.follow(found, cursor.bits);
            }
            if found & LITERAL != 0 {
                cursor.step(all_bits(found));
                out.push(Symbol::literal(value(found).to_le_bytes()[0]));
                left -= 1;
                continue;
            }
            if found & (SPECIAL | END) != 0 && found & SPECIAL != 0 {
                return Err(DeflateError::Symbol);
            }
            let length = extended(found, cursor.bits);
            cursor.step(all_bits(found));
            let mut found = self.distances.look_up(cursor.bits);
            if found & SPECIAL != 0 && found & DEEPER != 0 {
                found = self.distances.follow(found, cursor.bits);
            }
            let distance = extended(found, cursor.bits);
            cursor.step(all_bits(found));
            out.push(Symbol::repeat(length, distance));
            left = left.saturating_sub(length as u64);
        }
        Ok(())
    }
}
