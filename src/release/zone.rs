//! Zone: a time zone's file without what only readers of before 2005 read.
//!
//! A file of the format's second version or later says everything twice: first in 32 bits, for readers of the first
//! version, then in 64. Readers of today skip the first table by its counts, so an empty one serves them as well; it is the
//! one that `zic -b slim` writes. The second table stays whole, its transitions until 2037 included: there are
//! programs that do not reckon beyond the last of them. What is not such a file is left as it is.

/// Bytes of a table's head: `TZif`, the version, fifteen unused bytes, six counts.
const HEAD_BYTES: usize = 44;
const MAGIC: &[u8] = b"TZif";
/// The least table: no transition, one kind of local time, and its empty name. Neither may be missing.
const LEAST_COUNTS: [u32; 6] = [0, 0, 0, 0, 1, 1];
const LEAST_BYTES: usize = 7;

/// Returns the zone with the least first table; `None` where it is no zone, or has no second table.
pub(super) fn slim(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = bytes.get(..HEAD_BYTES)?;
    if !head.starts_with(MAGIC) || head[4] < b'2' {
        return None;
    }
    let mut counts = head[20..].chunks_exact(4).map(|count| {
        let count = count.try_into().expect("a count has four bytes");
        usize::try_from(u32::from_be_bytes(count)).ok()
    });
    let mut table = HEAD_BYTES;
    // For each count, in the order of the head: UTC marks, standard marks, leap seconds, transitions, kinds, names.
    for width in [1, 1, 8, 5, 6, 1] {
        table = table.checked_add(counts.next()??.checked_mul(width)?)?;
    }
    let second = bytes.get(table..).filter(|rest| rest.starts_with(MAGIC))?;
    let mut kept = head[..20].to_vec();
    kept.extend(LEAST_COUNTS.iter().flat_map(|count| count.to_be_bytes()));
    kept.extend([0; LEAST_BYTES]);
    kept.extend(second);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(counts: [u32; 6], data: &[u8]) -> Vec<u8> {
        let mut bytes = b"TZif2".to_vec();
        bytes.resize(20, 0);
        bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn the_first_table_is_emptied_and_the_second_stays() {
        let second = [table([0, 0, 0, 1, 1, 4], b"the second"), b"\nCET-1\n".to_vec()].concat();
        // Two transitions of five bytes, one kind of six, four bytes of names, one mark of each sort, a leap second.
        let first = table([1, 1, 1, 2, 1, 4], &[7; 1 + 1 + 8 + 10 + 6 + 4]);
        let kept = slim(&[first, second.clone()].concat()).unwrap();
        let least = table(LEAST_COUNTS, &[0; LEAST_BYTES]);
        assert_eq!(kept, [least, second].concat());
        assert_eq!(slim(&kept).as_ref(), Some(&kept));
    }

    #[test]
    fn what_has_no_second_table_is_left_as_it_is() {
        assert_eq!(slim(b"#name\tcode\n"), None);
        let mut old = table(LEAST_COUNTS, &[0; LEAST_BYTES]);
        assert_eq!(slim(&old), None);
        old[4] = 0;
        assert_eq!(slim(&[old.clone(), old].concat()), None);
        assert_eq!(slim(&table([u32::MAX; 6], b"short")), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(counts in any::<[u32; 6]>(), small in any::<[u8; 6]>(),
                                  data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = slim(&data);
            let _ = slim(&table(counts, &data));
            let _ = slim(&table(small.map(u32::from), &data));
        }
    }
}
