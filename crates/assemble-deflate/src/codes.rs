//! What stands in front of a block's contents.

use std::io::Read;

use crate::DeflateError;
use crate::bits::BitReader;
use crate::huffman::{SPECIAL, code_bits, value};
use crate::symbols::{LENGTH_ORDER, Lengths, MOST_DISTANCES, MOST_LITERALS, Tables};

/// There is no such code, or there are no more bits.
pub(crate) fn no_code(ready: u32) -> DeflateError {
    if ready < 15 { DeflateError::Cut } else { DeflateError::Symbol }
}

/// Reads the length of a stored block; the next bits are its bytes.
pub(crate) fn stored_length<R: Read>(input: &mut BitReader<R>) -> Result<usize, DeflateError> {
    input.align()?;
    let mut head = [0; 4];
    input.bytes(&mut head)?;
    let length = u16::from_le_bytes([head[0], head[1]]);
    if length != !u16::from_le_bytes([head[2], head[3]]) {
        return Err(DeflateError::StoredLength);
    }
    Ok(length.into())
}

/// Reads the codes of a block that has its own.
pub(crate) fn read_codes<R: Read>(
    input: &mut BitReader<R>,
    tables: &mut Tables,
) -> Result<Lengths, DeflateError> {
    let literals = input.take(5)? as usize + 257;
    let distances = input.take(5)? as usize + 1;
    let given = input.take(4)? as usize + 4;
    if literals > MOST_LITERALS || distances > MOST_DISTANCES {
        return Err(DeflateError::Code);
    }
    let mut of_lengths = [0_u8; 19];
    for place in &LENGTH_ORDER[..given] {
        of_lengths[*place] = input.take(3)?.to_le_bytes()[0];
    }
    tables.set_lengths(&of_lengths)?;
    let mut lengths = vec![0_u8; literals + distances].into_boxed_slice();
    let mut at = 0;
    while at < lengths.len() {
        input.refill()?;
        let found = tables.lengths.look_up(input.peek());
        if found & SPECIAL != 0 {
            return Err(no_code(input.ready()));
        }
        input.consume(code_bits(found))?;
        let (length, times) = match value(found) {
            16 => {
                let last = at.checked_sub(1).and_then(|before| lengths.get(before)).copied();
                (last.ok_or(DeflateError::Code)?, 3 + input.take(2)? as usize)
            }
            17 => (0, 3 + input.take(3)? as usize),
            18 => (0, 11 + input.take(7)? as usize),
            length => (length.to_le_bytes()[0], 1),
        };
        lengths.get_mut(at..at + times).ok_or(DeflateError::Code)?.fill(length);
        at += times;
    }
    if lengths[256] == 0 {
        return Err(DeflateError::Code);
    }
    Ok(Lengths::Own(lengths, literals))
}
