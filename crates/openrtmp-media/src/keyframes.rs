//! Which key frames of a recording its index lists.

/// Places where decoding can start, evenly thinned out once there is no more room.
#[derive(Clone, Debug)]
pub struct KeyframeIndex<T> {
    entries: Vec<T>,
    capacity: usize,
    /// Key frames so far.
    seen: u64,
    /// Time of the last one.
    last: Option<u64>,
    /// One in so many is listed.
    stride: u64,
}

impl<T> KeyframeIndex<T> {
    /// An index with room for so many, an even number above 0: so halving it leaves its
    /// entries evenly apart.
    pub fn new(capacity: usize) -> KeyframeIndex<T> {
        debug_assert!(capacity > 0 && capacity.is_multiple_of(2));
        KeyframeIndex {
            entries: Vec::new(),
            capacity,
            seen: 0,
            last: None,
            stride: 1,
        }
    }

    /// A key frame at this time. One that is not later than the one before is left out:
    /// players search the index by time, and of several tracks' key frames the first is
    /// where to begin.
    pub fn add(&mut self, time: u64, entry: T) {
        if self.last.is_some_and(|last| time <= last) {
            return;
        }
        self.last = Some(time);
        let listed = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !listed {
            return;
        }
        if self.entries.len() == self.capacity {
            let mut keep = false;
            self.entries.retain(|_| {
                keep = !keep;
                keep
            });
            // The capacity is even, so the present key frame is in step with
            // the wider stride.
            self.stride = self.stride.saturating_mul(2);
        }
        self.entries.push(entry);
    }

    /// Those that are listed, in order.
    pub fn entries(&self) -> &[T] {
        &self.entries
    }

    /// Key frames of different times, whether they are listed or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_index_lists_every_second_and_goes_on_so() {
        let mut index = KeyframeIndex::new(4);
        for time in 0..11 {
            index.add(time, time);
        }
        assert_eq!(index.entries(), [0, 4, 8]);
        index.add(10, 99);
        assert_eq!(index.seen(), 11);
    }
}
