//! The symbols of one block, read without what stands before it.

use std::ops::Range;

use crate::bits::BitReader;
use crate::huffman::{DEEPER, END, LITERAL, SPECIAL, code_bits, extra_bits, value};
use crate::inflate::{read_codes, stored_length};
use crate::symbols::Tables;
use crate::{Block, BlockKind, DeflateError};

/// A symbol of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// A byte.
    Literal(u8),
    /// Bytes that were there before.
    Match {
        /// How many: 3 to 258.
        length: u16,
        /// How far back: 1 to 32768.
        distance: u16,
    },
}

impl Token {
    /// How many plain bytes it stands for.
    pub fn plain_size(self) -> u64 {
        match self {
            Self::Literal(_) => 1,
            Self::Match { length, .. } => length.into(),
        }
    }
}

/// The symbols of a block of this stream. `stream` begins at the bit `first`, which has to be a multiple of eight.
///
/// # Errors
/// The block does not lie in these bytes, or is not one.
pub fn tokens(stream: &[u8], first: u64, block: &Block) -> Result<Vec<Token>, DeflateError> {
    let Range { start, .. } = block.bits;
    let start = start.checked_sub(first).ok_or(DeflateError::Place)?;
    let from = usize::try_from(start / 8).map_err(|_| DeflateError::Place)?;
    let mut input = BitReader::new(stream.get(from..).ok_or(DeflateError::Place)?);
    input.take(u32::try_from(start % 8).unwrap_or(0) + 3)?;
    let mut tables = Tables::new();
    match block.kind {
        BlockKind::Stored => {
            let mut bytes = vec![0; stored_length(&mut input)?];
            input.bytes(&mut bytes)?;
            return Ok(bytes.into_iter().map(Token::Literal).collect());
        }
        BlockKind::Fixed => tables.set_fixed()?,
        BlockKind::Dynamic => read_codes(&mut input, &mut tables)?,
    }
    let mut out = Vec::new();
    loop {
        input.refill()?;
        let mut found = tables.literals.look_up(input.peek());
        if found & DEEPER != 0 && found & SPECIAL != 0 {
            found = tables.literals.follow(found, input.peek());
        }
        if found & LITERAL != 0 {
            input.consume(code_bits(found))?;
            out.push(Token::Literal(value(found).to_le_bytes()[0]));
            continue;
        }
        if found & END != 0 && found & SPECIAL != 0 {
            input.consume(code_bits(found))?;
            return Ok(out);
        }
        if found & SPECIAL != 0 {
            return Err(DeflateError::Symbol);
        }
        let length = with_extra(&mut input, found)?;
        let mut distance = tables.distances.look_up(input.peek());
        if distance & DEEPER != 0 && distance & SPECIAL != 0 {
            distance = tables.distances.follow(distance, input.peek());
        }
        if distance & SPECIAL != 0 {
            return Err(DeflateError::Symbol);
        }
        let distance = with_extra(&mut input, distance)?;
        out.push(Token::Match { length, distance });
    }
}

fn with_extra(input: &mut BitReader<&[u8]>, found: u32) -> Result<u16, DeflateError> {
    input.consume(code_bits(found))?;
    let extra = input.take(extra_bits(found))?;
    u16::try_from(value(found) + extra).map_err(|_| DeflateError::Symbol)
}
