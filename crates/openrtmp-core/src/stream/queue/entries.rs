//! A queue of entries whose first one lies in the queue itself.
//!
//! Of a player that keeps up one frame waits, for a moment. With hundreds of players a
//! buffer elsewhere has left the caches from one frame to the next, and was half of what
//! the server waited for on the way of a frame.

use std::collections::VecDeque;

use super::Entry;
use crate::stream::capacity;

/// Entries in order.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// `None`: there are none at all.
    first: Option<Entry>,
    /// Those behind it.
    others: VecDeque<Entry>,
}

impl Entries {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Entry> {
        self.first.as_ref()
    }

    /// The only one there is.
    #[inline]
    pub(super) fn only(&self) -> Option<&Entry> {
        match self.others.is_empty() {
            true => self.first.as_ref(),
            false => None,
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<&Entry> {
        match place.checked_sub(1) {
            None => self.first.as_ref(),
            Some(place) => self.others.get(place),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(&self.others)
    }

    /// The place of the first that `is_before` is not true of; it is true of all before
    /// that, and of none behind.
    pub(super) fn partition_point(&self, mut is_before: impl FnMut(&Entry) -> bool) -> usize {
        match &self.first {
            Some(first) if is_before(first) => 1 + self.others.partition_point(is_before),
            _ => 0,
        }
    }

    /// The first from a place on that `is_it` is true of.
    pub(super) fn find(
        &self,
        from: usize,
        mut is_it: impl FnMut(&Entry) -> bool,
    ) -> Option<&Entry> {
        let first = self.first.as_ref().filter(|_| from == 0);
        let behind = from.saturating_sub(1).min(self.others.len());
        let mut rest = first.into_iter().chain(self.others.range(behind..));
        rest.find(|entry| is_it(entry))
    }

    /// True if one more takes no memory.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.first.is_none() || self.others.len() < self.others.capacity()
    }

    /// Makes room for so many more. False if there is no memory for it.
    pub(super) fn try_reserve(&mut self, more: usize) -> bool {
        self.others.try_reserve(more).is_ok()
    }

    #[inline]
    pub(super) fn push_back(&mut self, entry: Entry) {
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.others.push_back(entry),
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Entry> {
        let next = self.others.pop_front();
        std::mem::replace(&mut self.first, next)
    }

    pub(super) fn swap(&mut self, one: usize, other: usize) {
        match (one.min(other), one.max(other)) {
            (0, 0) => {}
            (0, place) => {
                let first = self.first.as_mut();
                if let (Some(first), Some(second)) = (first, self.others.get_mut(place - 1)) {
                    std::mem::swap(first, second);
                }
            }
            (one, other) => self.others.swap(one - 1, other - 1),
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.others.truncate(length.saturating_sub(1));
        if length == 0 {
            self.first = None;
        }
    }

    /// Bytes that its room counts for.
    pub(super) fn charged(&self) -> usize {
        capacity::charged(&self.others)
    }

    /// Entries behind the first that it has room for.
    pub(super) fn capacity(&self) -> usize {
        self.others.capacity()
    }

    /// Whether it has room worth a look.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        capacity::is_large(&self.others)
    }

    /// Gives back what a burst left. False if it keeps it.
    pub(super) fn give_back(&mut self) -> bool {
        capacity::give_back(&mut self.others)
    }
}
