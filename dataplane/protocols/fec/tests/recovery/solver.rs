//! The paper answer, from nothing but lists of which packets each FEC packet adds up.

use std::collections::BTreeSet;

use bilbycast_fec::{Dimensions, Layout};

/// What of `lost` comes back: as long as there is a group with exactly one packet missing, that one does.
pub(crate) fn recoverable(lost: &BTreeSet<usize>, groups: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut missing = lost.clone();
    loop {
        let before = missing.len();
        for group in groups {
            let gone: Vec<_> = group.iter().filter(|n| missing.contains(n)).collect();
            if let [one] = gone[..] {
                missing.remove(one);
            }
        }
        if missing.len() == before {
            return lost.difference(&missing).copied().collect();
        }
    }
}

/// The groups of a stream of `count` packets, by the rules of the standard: rows of `l` packets, columns of every `l`th
/// packet. In blocks, each column begins in the first row; in a staircase, column c begins with packet c * (l + 1), or
/// the same place in an earlier matrix.
pub(crate) fn groups(
    (l, d): (usize, usize),
    dimensions: Dimensions,
    layout: Layout,
    count: usize,
) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let rows = match dimensions {
        Dimensions::Column => Vec::new(),
        Dimensions::ColumnAndRow => (0..count / l)
            .map(|row| (row * l..(row + 1) * l).collect())
            .collect(),
    };
    let mut columns = Vec::new();
    for column in 0..l {
        let mut first = match layout {
            Layout::BlockAligned => column,
            Layout::Staircase => column * (l + 1),
        };
        while first >= l * d {
            first -= l * d;
        }
        while first + (d - 1) * l < count {
            columns.push((0..d).map(|row| first + row * l).collect());
            first += l * d;
        }
    }
    (columns, rows)
}

#[test]
fn a_burst_of_one_row_needs_the_columns() {
    let lost = BTreeSet::from([4, 5, 6, 7]);
    let (columns, rows) = groups((4, 4), Dimensions::ColumnAndRow, Layout::BlockAligned, 16);
    assert_eq!(columns[1], [1, 5, 9, 13]);
    assert_eq!(rows[1], [4, 5, 6, 7]);
    assert!(recoverable(&lost, &rows).is_empty());
    assert_eq!(recoverable(&lost, &columns), lost);
}

#[test]
fn a_square_cannot_be_solved_and_a_step_can() {
    let (columns, rows) = groups((4, 4), Dimensions::ColumnAndRow, Layout::BlockAligned, 16);
    let both = [columns, rows].concat();
    assert!(recoverable(&BTreeSet::from([0, 1, 4, 5]), &both).is_empty());
    let step = BTreeSet::from([0, 1, 5]);
    assert_eq!(recoverable(&step, &both), step);
}

#[test]
fn a_staircase_begins_one_row_lower_with_each_column() {
    let (columns, _) = groups((4, 4), Dimensions::Column, Layout::Staircase, 32);
    assert_eq!(columns[0], [0, 4, 8, 12]);
    assert!(columns.contains(&vec![5, 9, 13, 17]));
    assert!(columns.contains(&vec![15, 19, 23, 27]));
    let (columns, _) = groups((6, 4), Dimensions::Column, Layout::Staircase, 48);
    assert!(columns.contains(&vec![4, 10, 16, 22]));
}
