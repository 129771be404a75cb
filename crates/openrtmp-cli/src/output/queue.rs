//! What waits to be written.

use std::collections::VecDeque;

/// Text that may wait, in bytes. More is lost.
const BYTES: usize = 256 * 1024;

/// Lines in order, and the newest of what is to be shown at the foot.
#[derive(Default)]
pub(super) struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines lost since the last one that was kept.
    lost: u64,
    foot: Foot,
    writing: bool,
    closed: bool,
    ended: bool,
}

struct Line {
    /// How many were lost just before it.
    lost: u64,
    text: String,
}

#[derive(Default)]
enum Foot {
    #[default]
    Unchanged,
    Changed(Option<String>),
}

/// What to write next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, its end included.
    Line(String),
    /// Lines are missing here.
    Lost(u64),
    /// The foot is another, or none.
    Foot(Option<String>),
}

impl Queue {
    /// Keeps a line, or counts it as lost: false.
    pub(super) fn put(&mut self, text: String) -> bool {
        if self.closed || self.bytes.saturating_add(text.len()) > BYTES {
            self.lost += 1;
            return false;
        }
        self.bytes += text.len();
        let lost = std::mem::take(&mut self.lost);
        self.lines.push_back(Line { lost, text });
        true
    }

    /// Nothing is written any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Nothing more will be put.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn show(&mut self, foot: Option<String>) {
        if !self.closed {
            self.foot = Foot::Changed(foot);
        }
    }

    /// What to write now; to be followed by [`Queue::written`].
    pub(super) fn next(&mut self) -> Option<Next> {
        let next = match self.lines.front_mut() {
            Some(line) if line.lost > 0 => Next::Lost(std::mem::take(&mut line.lost)),
            Some(_) => {
                let line = self.lines.pop_front()?;
                self.bytes -= line.text.len();
                Next::Line(line.text)
            }
            // The last that there was to say.
            None if self.lost > 0 => Next::Lost(std::mem::take(&mut self.lost)),
            None => match std::mem::take(&mut self.foot) {
                Foot::Changed(foot) => Next::Foot(foot),
                Foot::Unchanged => return None,
            },
        };
        self.writing = true;
        Some(next)
    }

    /// What [`Queue::next`] gave is written.
    pub(super) fn written(&mut self) {
        self.writing = false;
    }

    /// True if all that was put is written, or never will be.
    pub(super) fn is_idle(&self) -> bool {
        let nothing = self.lines.is_empty() && self.lost == 0 && !self.writing;
        self.closed || nothing && matches!(self.foot, Foot::Unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_told_before_the_next_line_or_at_the_end() {
        let mut queue = Queue::default();
        let long = "x".repeat(BYTES);
        queue.put(long.clone());
        queue.put("lost".into());
        queue.put("lost".into());
        assert_eq!(queue.next(), Some(Next::Line(long.clone())));
        queue.put("kept".into());
        queue.put(long);
        queue.show(Some("foot".into()));
        assert_eq!(queue.next(), Some(Next::Lost(2)));
        assert_eq!(queue.next(), Some(Next::Line("kept".into())));
        assert_eq!(queue.next(), Some(Next::Lost(1)));
        assert_eq!(queue.next(), Some(Next::Foot(Some("foot".into()))));
        assert!(!queue.is_idle(), "being written");
        queue.written();
        assert!(queue.is_idle() && queue.next().is_none());
    }

    #[test]
    fn a_closed_queue_holds_nothing() {
        let mut queue = Queue::default();
        queue.close();
        queue.put("line".into());
        queue.show(Some("foot".into()));
        assert!(queue.is_idle());
    }
}
