//! How many answers there were.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// Answers by the class of their status: 1xx first, 5xx last.
#[derive(Debug, Default)]
pub(crate) struct Answers([AtomicU64; 5]);

impl Answers {
    /// One more.
    pub(super) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.0.get(class)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many there were.
    pub(crate) fn all(&self) -> [u64; 5] {
        self.0
            .each_ref()
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_one_of_its_class() {
        let answers = Answers::default();
        for status in [101, 200, 206, 304, 404, 403, 400, 503] {
            answers.count(StatusCode::from_u16(status).unwrap());
        }
        // None is of this class.
        answers.count(StatusCode::from_u16(600).unwrap());
        assert_eq!(answers.all(), [1, 2, 1, 3, 1]);
    }
}
