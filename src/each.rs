//! Each: one piece of work on many items, by some threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Does the work on every item by some threads, and returns the results in the items' order.
///
/// The first error ends it: nothing new is begun. Items are begun in their order, so that whichever failed, all before
/// it were worked on to their end: of several errors the first in the items' order is returned, at any speed.
pub fn each<I: Sync, T: Send, E: Send>(
    items: &[I],
    threads: usize,
    work: impl Fn(&I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results = Mutex::new(BTreeMap::new());
    let labour = || {
        while !failed.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return };
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().expect("storing does not panic").insert(place, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(labour);
        }
    });
    results.into_inner().expect("storing does not panic").into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        let doubled = each(&items, 4, |item| Ok::<_, ()>(item * 2)).unwrap();
        assert_eq!(doubled, (0..100).map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(each(&[], 4, |_: &u32| Err::<(), _>(())), Ok(vec![]));
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let items: Vec<u32> = (0..10_000).collect();
        let result = each(&items, 2, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 3 { Err(*item) } else { Ok(()) }
        });
        assert_eq!(result, Err(3));
        assert!(begun.into_inner() < items.len());
    }

    #[test]
    fn of_several_errors_the_first_in_the_items_order_counts() {
        let second_failed = AtomicBool::new(false);
        let result = each(&[0, 1], 2, |item| {
            while *item == 0 && !second_failed.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            second_failed.store(true, Ordering::Relaxed);
            Err::<(), _>(*item)
        });
        assert_eq!(result, Err(0));
    }
}
