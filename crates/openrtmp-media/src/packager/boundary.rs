//! Where segments end: the leading track says so, and the others end theirs there.

/// Where a segment ends and the next begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boundary {
    /// On the timeline, in microseconds.
    pub(super) time: i64,
    /// Wall time there, in milliseconds.
    pub(super) wall: i64,
    pub(super) msn: u64,
    pub(super) is_discontinuity: bool,
    pub(super) discontinuities: u64,
    /// The offset of the publisher's time from here on.
    pub(super) offset: i64,
    /// The leading track has a key frame there.
    pub(super) is_key: bool,
    /// A track waits for its own key frame before it goes beyond.
    pub(super) is_deferred: bool,
}

/// How far a frame may reach, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Where it ends if it would reach beyond `most`.
    pub(super) end: u64,
    /// It ends here at the latest.
    pub(super) most: u64,
}

impl Limit {
    /// How long a frame lasts that begins here and would last so long.
    pub(super) fn keep(self, place: u64, lasts: u64) -> u64 {
        if place + lasts <= self.most {
            return lasts;
        }
        let end = if self.end > place {
            self.end
        } else {
            self.most
        };
        end.saturating_sub(place).max(1)
    }
}
