//! Values in numbered places side by side, which are taken again once they are free.
//!
//! Like a slab, but a value can be fetched ahead of its use: whether a place is taken is
//! written in the place, and nobody has to look.

use crate::prefetch::prefetch;

/// Values by their places.
#[derive(Debug)]
pub(super) struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&T> {
        self.places.get(slot)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.places.get_mut(slot)?.as_mut()
    }

    /// With their places, in the order of those.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(slot, value)| Some((slot, value.as_ref()?)))
    }

    /// The place that the next to be inserted will have.
    pub(super) fn vacant(&self) -> usize {
        self.free.last().copied().unwrap_or(self.places.len())
    }

    pub(super) fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.places[slot] = Some(value);
                slot
            }
            None => {
                self.places.push(Some(value));
                self.places.len() - 1
            }
        }
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<T> {
        let value = self.places.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    /// A value is about to be needed: its first bytes are asked for, and not waited for.
    #[inline]
    pub(super) fn prefetch<const BYTES: usize>(&self, slot: usize) {
        if let Some(place) = self.places.get(slot) {
            prefetch::<_, BYTES>(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_again_and_the_others_stay() {
        let mut slots = Slots::default();
        assert!(slots.is_empty());
        for name in ["a", "b", "c"] {
            let next = slots.vacant();
            assert_eq!(slots.insert(name), next);
        }
        assert_eq!(slots.remove(1), Some("b"));
        assert_eq!(slots.remove(1), None);
        assert_eq!((slots.len(), slots.get(1)), (2, None));
        assert_eq!(slots.vacant(), 1);
        assert_eq!(slots.insert("d"), 1);
        slots.prefetch::<64>(1);
        slots.prefetch::<64>(9);
        let all: Vec<_> = slots.iter().map(|(slot, name)| (slot, *name)).collect();
        assert_eq!(all, [(0, "a"), (1, "d"), (2, "c")]);
        assert_eq!(slots.vacant(), 3);
    }

    #[test]
    fn all_that_is_taken_out_leaves_nothing() {
        let mut slots: Slots<u32> = Slots::default();
        let places: Vec<_> = (0..9).map(|value| slots.insert(value)).collect();
        for &slot in &places {
            assert!(slots.get_mut(slot).is_some());
            assert!(slots.remove(slot).is_some());
        }
        assert!(slots.is_empty());
        assert_eq!(slots.remove(99), None);
        assert!(places.contains(&slots.insert(1)));
    }
}
