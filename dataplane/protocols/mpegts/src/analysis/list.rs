//! Lists that do not grow.

/// A list in fixed memory.
#[derive(Debug)]
pub(super) struct List<T, const N: usize> {
    items: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    pub(super) const fn new() -> Self {
        Self {
            items: [None; N],
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// False when the list is full.
    pub(super) fn push(&mut self, item: T) -> bool {
        match self.items.get_mut(self.len) {
            Some(place) => {
                *place = Some(item);
                self.len += 1;
                true
            }
            None => false,
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.items[..self.len].get_mut(index)?.as_mut()
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        Iter {
            items: self.items[..self.len].iter(),
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items[..self.len].iter_mut().flatten()
    }

    /// Keeps order.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut kept = 0;
        for n in 0..self.len {
            if self.items[n].as_ref().is_some_and(&mut keep) {
                self.items[kept] = self.items[n];
                kept += 1;
            }
        }
        self.len = kept;
    }
}

pub(super) struct Iter<'a, T> {
    items: std::slice::Iter<'a, Option<T>>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.items.next()?.as_ref()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_takes_nothing() {
        let mut list = List::<u8, 3>::new();
        assert!([1, 2, 3].into_iter().all(|n| list.push(n)));
        assert!(!list.push(4));
        list.retain(|&n| n != 2);
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(list.iter().len(), 2);
        assert!(list.push(5));
        assert_eq!(list.get_mut(2), Some(&mut 5));
        assert_eq!(list.get_mut(3), None);
    }
}
