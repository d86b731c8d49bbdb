//! Pattern-defeating quicksort exactly as Go's `slices.SortFunc` does it.
//!
//! The loader's cache holds many entries that compare as equal, and where an unstable sort leaves those is part of the
//! bytes. So every choice of that algorithm matters here: the pivot, the few fixed numbers, the pseudo-random swaps
//! (seeded by the length) that break patterns. The algorithm is Orson Peters' (arXiv:2106.05123); the fixed numbers are
//! those of the Go standard library.

use std::cmp::Ordering;

/// Up to this length, insertion sort.
const MAX_INSERTION: usize = 12;
/// From this length on, the pivot is a median of three medians, and a nearly sorted range is worth mending.
const LONG: usize = 50;
/// So many swaps while choosing the pivot mean that the range is descending.
const MAX_SWAPS: u32 = 4 * 3;
/// How many places out of order are mended before a range counts as unsorted.
const MAX_MENDS: u32 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

/// Sorts `items`. Equal items end up where Go's sort leaves them.
pub(super) fn sort<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let limit = bit_length(items.len());
    let end = items.len();
    Sorter { items, less: |a: &T, b: &T| compare(a, b) == Ordering::Less }.sort(0, end, limit);
}

fn bit_length(number: usize) -> u32 {
    usize::BITS - number.leading_zeros()
}

struct Sorter<'a, T, F> {
    items: &'a mut [T],
    less: F,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    fn less(&self, i: usize, j: usize) -> bool {
        (self.less)(&self.items[i], &self.items[j])
    }

    fn swap(&mut self, i: usize, j: usize) {
        self.items.swap(i, j);
    }

    /// Sorts `start..end`; recursion only into the shorter part, so it is no deeper than the length has bits.
    fn sort(&mut self, mut start: usize, mut end: usize, mut limit: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let length = end - start;
            if length <= MAX_INSERTION {
                return self.insertion(start, end);
            }
            if limit == 0 {
                return self.heap(start, end);
            }
            if !balanced {
                self.break_patterns(start, end);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(start, end);
            if hint == Hint::Decreasing {
                self.items[start..end].reverse();
                pivot = (end - 1) - (pivot - start);
                hint = Hint::Increasing;
            }
            if balanced && partitioned && hint == Hint::Increasing && self.mend(start, end) {
                return;
            }
            // Everything in the range is at least as great as what stands before it; if the pivot is equal to that,
            // all that equals it can be set aside at once.
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.partition_equal(start, end, pivot);
                continue;
            }
            let (middle, already) = self.partition(start, end, pivot);
            partitioned = already;
            let (left, right) = (middle - start, end - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.sort(start, middle, limit);
                start = middle + 1;
            } else {
                self.sort(middle + 1, end, limit);
                end = middle;
            }
        }
    }

    fn insertion(&mut self, start: usize, end: usize) {
        for i in start + 1..end {
            let mut j = i;
            while j > start && self.less(j, j - 1) {
                self.swap(j, j - 1);
                j -= 1;
            }
        }
    }

    fn heap(&mut self, start: usize, end: usize) {
        let length = end - start;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift_down(root, length, start);
        }
        for last in (0..length).rev() {
            self.swap(start, start + last);
            self.sift_down(0, last, start);
        }
    }

    fn sift_down(&mut self, mut root: usize, length: usize, first: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    /// Three swaps with places that an xorshift generator picks, seeded by the length.
    fn break_patterns(&mut self, start: usize, end: usize) {
        let length = end - start;
        let mut random = length as u64;
        let mask = (1u64 << bit_length(length)) - 1;
        let place = start + (length / 4) * 2 - 1;
        for i in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut other = usize::try_from(random & mask).unwrap_or(0);
            if other >= length {
                other -= length;
            }
            self.swap(place + i, start + other);
        }
    }

    fn choose_pivot(&self, start: usize, end: usize) -> (usize, Hint) {
        let length = end - start;
        let mut swaps = 0;
        let mut at = [1, 2, 3].map(|quarter| start + length / 4 * quarter);
        if length >= LONG {
            at = at.map(|i| self.median([i - 1, i, i + 1], &mut swaps));
        }
        let pivot = self.median(at, &mut swaps);
        let hint = match swaps {
            0 => Hint::Increasing,
            MAX_SWAPS => Hint::Decreasing,
            _ => Hint::Unknown,
        };
        (pivot, hint)
    }

    fn median(&self, [mut a, mut b, mut c]: [usize; 3], swaps: &mut u32) -> usize {
        let mut order = |a: &mut usize, b: &mut usize| {
            if self.less(*b, *a) {
                *swaps += 1;
                std::mem::swap(a, b);
            }
        };
        order(&mut a, &mut b);
        order(&mut b, &mut c);
        order(&mut a, &mut b);
        b
    }

    /// Mends a few neighbours that are out of order. Returns whether the range is sorted now.
    fn mend(&mut self, start: usize, end: usize) -> bool {
        let mut i = start + 1;
        for _ in 0..MAX_MENDS {
            while i < end && !self.less(i, i - 1) {
                i += 1;
            }
            if i == end {
                return true;
            }
            if end - start < LONG {
                return false;
            }
            self.swap(i, i - 1);
            // The smaller one goes down, then the greater one up. Going down may pass the start of the range only
            // down to what is no greater anyway.
            if i - start >= 2 {
                let mut j = i - 1;
                while j >= 1 && self.less(j, j - 1) {
                    self.swap(j, j - 1);
                    j -= 1;
                }
            }
            if end - i >= 2 {
                let mut j = i + 1;
                while j < end && self.less(j, j - 1) {
                    self.swap(j, j - 1);
                    j += 1;
                }
            }
        }
        false
    }

    /// Sets aside what equals the pivot; returns where the rest begins.
    fn partition_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.swap(start, pivot);
        let (mut i, mut j) = (start + 1, end - 1);
        loop {
            while i <= j && !self.less(start, i) {
                i += 1;
            }
            while i <= j && self.less(start, j) {
                j -= 1;
            }
            if i > j {
                return i;
            }
            self.swap(i, j);
            i += 1;
            j -= 1;
        }
    }

    /// Returns where the pivot ended up, and whether the range was partitioned already.
    fn partition(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.swap(start, pivot);
        let (mut i, mut j) = (start + 1, end - 1);
        let mut already = true;
        loop {
            while i <= j && self.less(i, start) {
                i += 1;
            }
            while i <= j && !self.less(j, start) {
                j -= 1;
            }
            if i > j {
                self.swap(j, start);
                return (j, already);
            }
            already = false;
            self.swap(i, j);
            i += 1;
            j -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// The digest that a Go 1.26 program prints which makes the same inputs and sorts them with `slices.SortFunc`.
    const FROM_GO: &str = "46bb3e0099a033a74bb8e4c6bba9fdd6b213bfeae0e6934ac3837749acc59a5a";

    fn xorshift(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    /// Random, ascending, descending, nearly sorted, saw tooth, folded.
    fn input(state: &mut u64) -> Vec<(u32, u32)> {
        let n = xorshift(state) % 700;
        let kind = xorshift(state) % 6;
        let keys = xorshift(state) % 40 + 1;
        let mut out = Vec::new();
        for i in 0..n {
            let key = match kind {
                0 => xorshift(state) % keys,
                1 => i / keys,
                2 => (n - i) / keys,
                3 if xorshift(state).is_multiple_of(50) => xorshift(state) % n,
                3 => i,
                4 => i % keys,
                _ if i % 2 == 0 => i,
                _ => n - i,
            };
            out.push((u32::try_from(key).unwrap(), u32::try_from(i).unwrap()));
        }
        out
    }

    /// McIlroy's adversary: values are decided while the sort asks, so that it goes as badly as it can.
    fn adversary(n: usize) -> Vec<usize> {
        let values = RefCell::new(vec![n; n]);
        let (solid, candidate) = (Cell::new(0), Cell::new(0));
        let mut order: Vec<usize> = (0..n).collect();
        sort(&mut order, |&a, &b| {
            let mut values = values.borrow_mut();
            if values[a] == n && values[b] == n {
                values[if a == candidate.get() { a } else { b }] = solid.replace(solid.get() + 1);
            }
            if values[a] == n {
                candidate.set(a);
            } else if values[b] == n {
                candidate.set(b);
            }
            values[a].cmp(&values[b])
        });
        values.into_inner()
    }

    #[test]
    fn equal_items_end_where_go_leaves_them() {
        let mut hash = Sha256::new();
        let mut state = 88_172_645_463_325_252;
        for _ in 0..6000 {
            let mut items = input(&mut state);
            sort(&mut items, |a, b| a.0.cmp(&b.0));
            for (_, id) in items {
                hash.update(id.to_le_bytes());
            }
        }
        for n in (100..3000).step_by(37) {
            let values = adversary(n);
            let mut order: Vec<usize> = (0..n).collect();
            sort(&mut order, |&a, &b| (values[a] / 3).cmp(&(values[b] / 3)));
            for i in order {
                hash.update(u32::try_from(i).unwrap().to_le_bytes());
            }
        }
        assert_eq!(data_encoding::HEXLOWER.encode(&hash.finalize()), FROM_GO);
    }

    proptest! {
        #[test]
        fn it_sorts(mut items in proptest::collection::vec(0u8..20, 0..300)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            sort(&mut items, u8::cmp);
            prop_assert_eq!(items, expected);
        }
    }
}
