//! Whether a stream's picture goes on.

use std::time::Duration;

use super::class::Class;
use crate::config::Config;

/// What is known of it. A publisher without a picture has none that could stop.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// The time of the newest frame.
    newest: Option<u32>,
    /// It has stopped, and that was told.
    stopped: bool,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureNews {
    /// It has stopped, so long before the sound that just came.
    Stopped(Duration),
    /// It is there again, so long after the last.
    Resumed(Duration),
}

impl Picture {
    /// Sees a message, at its time on the stream's clock. What counts is that and not when
    /// it came: a line that stalls holds up picture and sound alike.
    pub(crate) fn see(
        &mut self,
        class: Class,
        timestamp: u32,
        config: &Config,
    ) -> Option<PictureNews> {
        let since = |newest: u32| {
            // Times go round after 49 days; one that is behind is near.
            let ms = timestamp.wrapping_sub(newest).cast_signed().max(0);
            Duration::from_millis(ms.unsigned_abs().into())
        };
        match class {
            Class::Key | Class::Inter => {
                let before = self.newest.replace(timestamp);
                let resumed = std::mem::take(&mut self.stopped);
                resumed.then(|| PictureNews::Resumed(before.map(since).unwrap_or_default()))
            }
            Class::Audio => {
                let limit = config.streams.video_timeout;
                let silence = since(self.newest?);
                let stops = !self.stopped && !limit.is_zero() && silence >= limit;
                self.stopped |= stops;
                stops.then_some(PictureNews::Stopped(silence))
            }
            Class::Metadata | Class::Header | Class::Prelude | Class::Data => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_told_once_that_it_stops_and_once_that_it_goes_on() {
        let mut config = Config::desktop();
        config.streams.video_timeout = ms(1000);
        let mut picture = Picture::default();
        let mut told = Vec::new();
        let start = u32::MAX - 500;
        for at in (0..5000).step_by(100) {
            let time = start.wrapping_add(at);
            if !(500..3000).contains(&at) {
                told.extend(picture.see(Class::Inter, time, &config).map(|it| (at, it)));
            }
            told.extend(picture.see(Class::Audio, time, &config).map(|it| (at, it)));
        }
        assert_eq!(
            told,
            [
                (1400, PictureNews::Stopped(ms(1000))),
                (3000, PictureNews::Resumed(ms(2600))),
            ]
        );
    }

    #[test]
    fn without_a_picture_or_a_limit_nothing_is_told() {
        let mut config = Config::desktop();
        let mut picture = Picture::default();
        for at in 0..100 {
            assert_eq!(picture.see(Class::Audio, at * 1000, &config), None);
        }
        config.streams.video_timeout = Duration::ZERO;
        assert_eq!(picture.see(Class::Key, 0, &config), None);
        assert_eq!(picture.see(Class::Audio, 1_000_000, &config), None);
        // Sound that is behind the picture.
        config.streams.video_timeout = ms(100);
        assert_eq!(picture.see(Class::Key, 2_000_000, &config), None);
        assert_eq!(picture.see(Class::Audio, 1_000_000, &config), None);
    }
}
