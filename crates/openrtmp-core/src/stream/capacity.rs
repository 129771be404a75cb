//! Room that queues keep for entries to come.

use std::collections::VecDeque;

/// Entries that an empty queue keeps room for.
const SPARE: usize = 8;

/// Room for fewer is not worth a look: it is part of what a connection or a stream takes
/// in any case.
const LARGE: usize = 64;

/// Whether a queue has room worth a look.
#[inline]
pub(crate) fn is_large<T>(queue: &VecDeque<T>) -> bool {
    queue.capacity() > LARGE
}

/// Bytes that a queue's room counts for.
pub(crate) fn charged<T>(queue: &VecDeque<T>) -> usize {
    match queue.capacity() {
        ..=LARGE => 0,
        entries => entries * size_of::<T>(),
    }
}

/// Gives back what a burst left, once a queue needs a quarter of its room. False if it
/// keeps it, for want of memory to move to as well.
pub(crate) fn give_back<T>(queue: &mut VecDeque<T>) -> bool {
    if !is_large(queue) || queue.len() >= queue.capacity() / 4 {
        return false;
    }
    let mut smaller = VecDeque::new();
    let room = (queue.len() * 2).max(SPARE);
    if smaller.try_reserve_exact(room).is_err() {
        return false;
    }
    smaller.append(queue);
    *queue = smaller;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_once_a_quarter_of_it_is_needed() {
        let mut queue: VecDeque<u32> = (0..1000).collect();
        assert!(!give_back(&mut queue));
        assert!(charged(&queue) >= 4000);
        queue.drain(..800);
        assert!(give_back(&mut queue));
        assert!(queue.capacity() < 500, "{}", queue.capacity());
        assert!(queue.iter().copied().eq(800..1000));
        queue.clear();
        assert!(give_back(&mut queue));
        assert!(!give_back(&mut queue), "the rest is kept at hand");
        assert_eq!(charged(&queue), 0);
    }
}
