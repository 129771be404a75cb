use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::capacity;
use super::class::Class;
use super::packet::{Packet, SharedPacket};
use crate::budget::{Budget, Charge, Holder, Share};
use crate::config::GopConfig;
use crate::id::StreamId;
use crate::limit::Limit;

/// So many packets in front of a key frame are looked at for what belongs to it.
const PRELUDES: usize = 16;

/// The newest frames of a stream, from a key frame on.
///
/// Holds the GOP in progress and, in front of it, as many whole GOPs as it
/// takes to reach the configured minimum. A GOP that outgrows a bound is
/// forgotten until the next key frame: half a GOP is of use to nobody.
#[derive(Debug)]
pub(crate) struct GopCache {
    packets: VecDeque<SharedPacket>,
    /// Packets taken off the front so far; makes the positions below stable.
    removed: u64,
    /// Positions of the key frames.
    keyframes: VecDeque<u64>,
    bytes: usize,
    /// The room for entries.
    charge: Charge,
    share: Share,
}

impl GopCache {
    pub(crate) fn new(stream: StreamId, budget: &Arc<Budget>) -> GopCache {
        GopCache {
            packets: VecDeque::new(),
            removed: 0,
            keyframes: VecDeque::new(),
            bytes: 0,
            charge: Charge::new(budget, 0),
            share: Share::new(budget, Holder::Cache(stream)),
        }
    }

    /// Adds a frame of the stream. Headers and metadata are the stream's to keep. Tells
    /// the limit that the GOP has outgrown just now.
    pub(crate) fn push(&mut self, packet: &SharedPacket, config: &GopConfig) -> Option<Limit> {
        match packet.class {
            Class::Metadata | Class::Header => return None,
            // Other tracks' key frames are frames of the default track's GOP.
            Class::Key if packet.is_entry() => {
                let start = self.packets.len() - self.preludes();
                self.keyframes.push_back(self.removed + start as u64);
            }
            Class::Prelude if self.keyframes.is_empty() => self.keep_preludes(),
            _ if self.keyframes.is_empty() => return None,
            _ => {}
        }
        self.bytes += packet.len();
        self.packets.push_back(packet.clone());
        self.evict_old(packet.timestamp, config.min_duration);
        let limit = self.evict_beyond(config);
        self.account();
        let limit = limit?;
        // Without a cache, none is too small.
        let off = config.max_duration.is_zero() || config.max_frames == 0 || config.max_bytes == 0;
        (!off).then_some(limit)
    }

    /// Packets at the end that belong to a key frame still to come, with what stands
    /// between them.
    fn preludes(&self) -> usize {
        let recent = self.packets.iter().rev().take(PRELUDES).enumerate();
        let recent = recent.take_while(|(_, p)| !matches!(p.class, Class::Key | Class::Inter));
        let first = recent.filter(|(_, p)| p.class == Class::Prelude).last();
        first.map_or(0, |(behind, _)| behind + 1)
    }

    /// Makes room for one more that no key frame came for yet.
    fn keep_preludes(&mut self) {
        if self.packets.len() == PRELUDES
            && let Some(oldest) = self.packets.pop_front()
        {
            self.bytes -= oldest.len();
            self.removed += 1;
        }
    }

    /// The frames from the newest key frame on.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &SharedPacket> {
        let start = self
            .keyframes
            .back()
            .map_or(self.packets.len(), |k| (k - self.removed) as usize);
        self.packets.range(start..)
    }

    pub(crate) fn clear(&mut self) {
        if self.packets.capacity() > 0 {
            self.removed += self.packets.len() as u64;
            self.packets = VecDeque::new();
            self.keyframes = VecDeque::new();
            self.bytes = 0;
            self.account();
        }
    }

    /// Forgets it, because memory is short. False if there is nothing to forget.
    pub(crate) fn give_way(&mut self) -> bool {
        let any = !self.packets.is_empty();
        self.clear();
        self.share.stay();
        any
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn frames(&self) -> usize {
        self.packets.len()
    }

    /// Whole GOPs in front go as long as the rest still spans the minimum.
    fn evict_old(&mut self, now: u32, min: Duration) {
        while let Some(&second) = self.keyframes.get(1) {
            let start = self.packets[(second - self.removed) as usize].timestamp;
            if span(start, now) < min {
                return;
            }
            self.evict_front_gop();
        }
    }

    /// Older GOPs go if a bound is reached, and all of it if that does not do: then it
    /// tells which.
    fn evict_beyond(&mut self, config: &GopConfig) -> Option<Limit> {
        self.outgrown(config)?;
        self.evict_to_newest();
        let limit = self.outgrown(config)?;
        self.clear();
        Some(limit)
    }

    /// Counts what it takes by now.
    fn account(&mut self) {
        let room = capacity::charged(&self.packets) + capacity::charged(&self.keyframes);
        if room != self.charge.bytes() {
            self.charge.set(room);
        }
        let packets = self.bytes + self.packets.len() * Packet::OVERHEAD;
        self.share.note(packets + room, true);
    }

    /// Keeps the newest GOP alone.
    pub(crate) fn shrink(&mut self) {
        self.evict_to_newest();
        self.account();
    }

    fn evict_to_newest(&mut self) {
        while self.keyframes.len() > 1 {
            self.evict_front_gop();
        }
    }

    fn evict_front_gop(&mut self) {
        self.keyframes.pop_front();
        let end = self.keyframes.front().copied().unwrap_or(u64::MAX);
        while self.removed < end {
            let Some(packet) = self.packets.pop_front() else {
                return;
            };
            self.bytes -= packet.len();
            self.removed += 1;
        }
    }

    fn outgrown(&self, config: &GopConfig) -> Option<Limit> {
        let (first, last) = (self.packets.front()?, self.packets.back()?);
        if self.packets.len() > config.max_frames {
            Some(Limit::GopFrames)
        } else if self.bytes > config.max_bytes {
            Some(Limit::GopBytes)
        } else if span(first.timestamp, last.timestamp) > config.max_duration
            || config.max_duration.is_zero()
        {
            Some(Limit::GopDuration)
        } else {
            None
        }
    }
}

fn span(from: u32, to: u32) -> Duration {
    // Interleaved audio can be a little older than the key frame before it.
    Duration::from_millis((to.wrapping_sub(from) as i32).max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Ids;
    use crate::stream::test_packet;

    fn config(min_ms: u64, max_ms: u64, frames: usize, bytes: usize) -> GopConfig {
        GopConfig {
            min_duration: Duration::from_millis(min_ms),
            max_duration: Duration::from_millis(max_ms),
            max_frames: frames,
            max_bytes: bytes,
        }
    }

    fn empty() -> GopCache {
        GopCache::new(Ids::default().stream(), &Budget::new(usize::MAX))
    }

    fn times(cache: &GopCache) -> Vec<u32> {
        cache.newest().map(|p| p.timestamp).collect()
    }

    #[test]
    fn starts_at_a_keyframe_and_joins_at_the_newest() {
        let (mut cache, c) = (empty(), config(2000, 60_000, 1000, 1 << 20));
        cache.push(&test_packet(Class::Inter, 0, 10), &c);
        assert_eq!(cache.frames(), 0);
        for (class, t) in [
            (Class::Key, 0),
            (Class::Inter, 40),
            (Class::Audio, 45),
            (Class::Key, 80),
        ] {
            cache.push(&test_packet(class, t, 10), &c);
        }
        cache.push(&test_packet(Class::Inter, 120, 10), &c);
        assert_eq!(times(&cache), [80, 120]);
        assert_eq!(
            cache.frames(),
            5,
            "the older GOP stays until 2 s are reached"
        );
    }

    #[test]
    fn old_gops_leave_once_the_rest_spans_the_minimum() {
        let (mut cache, c) = (empty(), config(2000, 60_000, 1000, 1 << 20));
        for i in 0..10 {
            cache.push(&test_packet(Class::Key, i * 1000, 10), &c);
            cache.push(&test_packet(Class::Inter, i * 1000 + 500, 10), &c);
        }
        assert_eq!(cache.packets.front().unwrap().timestamp, 7000);
        assert_eq!(cache.bytes(), 60);
    }

    #[test]
    fn a_gop_over_a_bound_is_forgotten_until_the_next_keyframe() {
        for c in [
            config(0, 100, 1000, 1 << 20),
            config(0, 60_000, 3, 1 << 20),
            config(0, 60_000, 9, 35),
        ] {
            let mut cache = empty();
            cache.push(&test_packet(Class::Key, 0, 10), &c);
            for i in 1..6 {
                cache.push(&test_packet(Class::Inter, i * 40, 10), &c);
            }
            assert_eq!((cache.frames(), cache.bytes()), (0, 0));
            cache.push(&test_packet(Class::Key, 400, 10), &c);
            assert_eq!(times(&cache), [400]);
        }
    }

    #[test]
    fn what_comes_in_front_of_a_keyframe_for_it_goes_with_it() {
        let (mut cache, c) = (empty(), config(0, 60_000, 1000, 1 << 20));
        for t in 0..40 {
            cache.push(&test_packet(Class::Prelude, t, 10), &c);
        }
        assert_eq!((cache.frames(), cache.bytes()), (PRELUDES, 160));
        assert_eq!(times(&cache), [] as [u32; 0], "no key frame came");
        for (class, t) in [
            (Class::Key, 40),
            (Class::Inter, 80),
            (Class::Audio, 85),
            (Class::Prelude, 120),
            (Class::Audio, 121),
            (Class::Prelude, 122),
            (Class::Key, 123),
            (Class::Inter, 160),
        ] {
            cache.push(&test_packet(class, t, 10), &c);
        }
        assert_eq!(times(&cache), [120, 121, 122, 123, 160]);
        // A picture stands between: the one before was for that.
        cache.push(&test_packet(Class::Prelude, 200, 10), &c);
        cache.push(&test_packet(Class::Inter, 200, 10), &c);
        cache.push(&test_packet(Class::Key, 240, 10), &c);
        assert_eq!(times(&cache), [240]);
    }

    #[test]
    fn zero_turns_it_off() {
        for c in [config(0, 0, 9, 9), config(0, 9, 0, 9), config(0, 9, 9, 0)] {
            let mut cache = empty();
            cache.push(&test_packet(Class::Key, 0, 10), &c);
            assert_eq!(cache.frames(), 0);
        }
    }
}
