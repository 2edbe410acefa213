//! Ring: the newest of what happened, within a bound of bytes; every reader has a place of its own in it.
//!
//! Nobody is waited for: who reads slower than rows come finds that some are gone, and how many.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// Rows that a ring keeps, however small they are.
const ROWS_MAX: usize = 20_000;

/// The newest rows, each with its number; numbers begin with 1 and have no gaps.
#[derive(Debug)]
pub(super) struct Ring<T> {
    inner: Mutex<Inner<T>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Inner<T> {
    rows: VecDeque<(Arc<T>, usize)>,
    newest: u64,
    bytes: usize,
}

/// Rows with their numbers, and how many a reader missed.
#[derive(Debug)]
pub(super) struct Taken<T> {
    /// Newest first.
    pub(super) rows: Vec<(u64, Arc<T>)>,
    /// The number of the newest row that ever was.
    pub(super) newest: u64,
    /// Rows behind the reader's place that are gone.
    pub(super) lost: u64,
}

impl<T> Ring<T> {
    pub(super) fn new(bytes_max: usize) -> Self {
        let inner = Inner { rows: VecDeque::new(), newest: 0, bytes: 0 };
        Self { inner: Mutex::new(inner), bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().expect("nothing panics while it holds the rows")
    }

    /// Adds a row that takes so many bytes; older ones give way.
    pub(super) fn push(&self, row: T, bytes: usize) {
        let mut inner = self.lock();
        inner.newest += 1;
        inner.bytes += bytes;
        inner.rows.push_back((Arc::new(row), bytes));
        while inner.rows.len() > ROWS_MAX || (inner.bytes > self.bytes_max && inner.rows.len() > 1)
        {
            let gone = inner.rows.pop_front().map_or(0, |(_, bytes)| bytes);
            inner.bytes -= gone;
        }
    }

    /// Forgets all rows; numbers go on.
    pub(super) fn clear(&self) {
        let mut inner = self.lock();
        inner.rows = VecDeque::new();
        inner.bytes = 0;
    }

    /// Returns how many rows there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.rows.len(), inner.bytes)
    }

    /// Returns one row.
    pub(super) fn get(&self, number: u64) -> Option<Arc<T>> {
        let inner = self.lock();
        let behind = usize::try_from(inner.newest.checked_sub(number)?).ok()?;
        let at = inner.rows.len().checked_sub(behind + 1)?;
        inner.rows.get(at).map(|(row, _)| Arc::clone(row))
    }

    /// Returns all rows after the reader's place.
    pub(super) fn after(&self, place: u64) -> Taken<T> {
        let inner = self.lock();
        let newest = inner.newest;
        let wanted = usize::try_from(newest.saturating_sub(place)).unwrap_or(usize::MAX);
        let there = wanted.min(inner.rows.len());
        let rows = inner.rows.iter().rev().take(there);
        let rows = (0..).zip(rows).map(|(behind, (row, _))| (newest - behind, Arc::clone(row)));
        Taken { rows: rows.collect(), newest, lost: (wanted - there) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(taken: &Taken<u64>) -> Vec<u64> {
        assert!(taken.rows.iter().all(|(number, row)| number == &**row));
        taken.rows.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn who_reads_slowly_is_told_how_much_is_gone() {
        let ring = Ring::new(30);
        for number in 1..=5 {
            ring.push(number, 10);
        }
        let all = ring.after(0);
        assert_eq!((numbers(&all), all.newest, all.lost), (vec![5, 4, 3], 5, 2));
        let some = ring.after(4);
        assert_eq!((numbers(&some), some.lost), (vec![5], 0));
        assert_eq!(numbers(&ring.after(9)), Vec::<u64>::new());
        assert_eq!(ring.get(3).as_deref(), Some(&3));
        assert_eq!((ring.get(2), ring.get(6)), (None, None));
        assert_eq!(ring.size(), (3, 30));
    }

    #[test]
    fn numbers_go_on_after_all_was_forgotten() {
        let ring = Ring::new(100);
        ring.push(1, 10);
        ring.clear();
        ring.push(2, 10);
        let all = ring.after(0);
        assert_eq!((numbers(&all), all.lost), (vec![2], 1));
    }

    #[test]
    fn a_row_that_is_too_large_is_alone_and_small_ones_are_counted() {
        let ring = Ring::new(100);
        ring.push(1, 10);
        ring.push(2, 1000);
        assert_eq!(ring.size(), (1, 1000));
        for number in 3..30_000 {
            ring.push(number, 0);
        }
        assert_eq!(ring.size().0, ROWS_MAX);
    }
}
