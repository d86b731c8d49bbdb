//! The loop that reads symbols where there is plenty of input: it takes nearly all of the time.

use crate::DeflateError;
use crate::bits::Cursor;
use crate::huffman::{DEEPER, END, LITERAL, SPECIAL, all_bits, extended, value};
use crate::record::{Batch, Kind};
use crate::symbols::Tables;

/// Bytes that a match is copied by, where it does not overlap itself.
pub(crate) const PIECE: usize = 16;
/// The loop that takes the time, with what it works on.
pub(crate) struct Loop<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) window: &'a mut [u8],
    /// Where the next plain byte goes.
    pub(crate) at: usize,
    /// The lowest place that a match began at.
    pub(crate) low: usize,
    /// The place behind the last match; perhaps before the window, counted down from zero.
    pub(crate) end: usize,
    /// No symbol begins here or behind it.
    pub(crate) limit: usize,
}

impl Loop<'_> {
    /// Reads symbols as long as there is plenty of input; true at the end of the block.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once for each way of recording")]
    pub(crate) fn run<K: Kind>(
        &mut self,
        input: &[u8],
        cursor: &mut Cursor,
        out: &mut Vec<K::Item>,
    ) -> Result<bool, DeflateError> {
        let Self { tables, window, .. } = self;
        let (literals, distances) = (&tables.literals, &tables.distances);
        let window: &mut [u8] = window;
        let mut c = Cursor { ..*cursor };
        let (mut at, mut low, mut end) = (self.at, self.low, self.end);
        let mut batch = Batch::new();
        if !c.refill(input) {
            return Ok(false);
        }
        // The next entry is always looked up before what is found is written: loads take long.
        let mut found = literals.look_up(c.bits);
        let ended = loop {
            // Three literals and whatever follows do not begin at the limit or behind it.
            if at + 4 > self.limit {
                break false;
            }
            if found & LITERAL != 0 {
                let mut more = 2;
                let next = loop {
                    c.step(all_bits(found));
                    let next = literals.look_up(c.bits);
                    let byte = value(found).to_le_bytes()[0];
                    window[at] = byte;
                    at += 1;
                    if let Some(item) = K::literal(byte) {
                        batch.push(item, out);
                    }
                    found = next;
                    if next & LITERAL == 0 || more == 0 {
                        break next;
                    }
                    more -= 1;
                };
                if !c.refill(input) {
                    break false;
                }
                if next & LITERAL != 0 {
                    continue;
                }
            }
            if found & SPECIAL != 0 {
                if found & DEEPER != 0 {
                    found = literals.follow(found, c.bits);
                }
                if found & LITERAL != 0 {
                    c.step(all_bits(found));
                    let byte = value(found).to_le_bytes()[0];
                    window[at] = byte;
                    at += 1;
                    if let Some(item) = K::literal(byte) {
                        batch.push(item, out);
                    }
                    if !c.refill(input) {
                        break false;
                    }
                    found = literals.look_up(c.bits);
                    continue;
                }
                if found & SPECIAL != 0 {
                    if found & END == 0 {
                        return Err(DeflateError::Symbol);
                    }
                    c.step(all_bits(found));
                    break true;
                }
            }
            let length = extended(found, c.bits);
            c.step(all_bits(found));
            let mut further = distances.look_up(c.bits);
            if further & SPECIAL != 0 {
                if further & DEEPER != 0 {
                    further = distances.follow(further, c.bits);
                }
                if further & SPECIAL != 0 {
                    return Err(DeflateError::Symbol);
                }
            }
            let distance = extended(further, c.bits);
            c.step(all_bits(further));
            let filled = c.refill(input);
            found = literals.look_up(c.bits);
            let Some(from) = at.checked_sub(distance) else {
                return Err(DeflateError::Distance);
            };
            low = low.min(from);
            repeat(window, from, at, length);
            at += length;
            if K::ANY {
                batch.push(K::repeat((at - length).wrapping_sub(end), length, distance), out);
                end = at;
            }
            if !filled {
                break false;
            }
        };
        batch.end(out);
        (self.at, self.low, self.end) = (at, low, end);
        *cursor = c;
        Ok(ended)
    }
}

/// Writes `length` bytes at `at` that repeat those from `from` on.
#[inline(always)]
#[allow(clippy::inline_always, reason = "short, and called for every match")]
pub(crate) fn repeat(window: &mut [u8], from: usize, at: usize, length: usize) {
    let distance = at - from;
    if distance >= PIECE {
        return copy_pieces(window, from, at, length);
    }
    repeat_near(window, at, distance, length);
}

/// The same for a short distance.
fn repeat_near(window: &mut [u8], at: usize, distance: usize, length: usize) {
    if distance == 1 {
        let byte = [window[at - 1]; PIECE];
        let mut done = 0;
        while done < length {
            put_piece(window, at + done, byte);
            done += PIECE;
        }
        return;
    }
    // What is repeated comes again after twice the distance, too, and so on; until that is a piece.
    let period = distance * PIECE.div_ceil(distance);
    let first = period.min(length);
    for place in at..at + first {
        window[place] = window[place - distance];
    }
    if length > first {
        copy_pieces(window, at, at + period, length - period);
    }
}

/// Copies what is at least [`PIECE`] before.
#[inline]
fn copy_pieces(window: &mut [u8], from: usize, at: usize, length: usize) {
    let mut done = 0;
    // What is written too much is written over by what comes next.
    while done < length {
        let Some(piece) = window.get(from + done..).and_then(|rest| rest.first_chunk::<PIECE>().copied())
        else {
            return;
        };
        put_piece(window, at + done, piece);
        done += PIECE;
    }
}

#[inline]
fn put_piece(window: &mut [u8], at: usize, piece: [u8; PIECE]) {
    if let Some(place) = window.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<PIECE>()) {
        *place = piece;
    }
}
