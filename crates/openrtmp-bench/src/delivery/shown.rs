//! What was measured, as text.

use std::fmt;

use super::{Delivery, PLAYERS, Played, Requests, Segments, Viewers, segments};
use crate::stats::median;

impl fmt::Display for Viewers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} viewers: {:.3} ms of a processor for each and second, late by {}, {:.1} KiB for \
             each, {} parts, {} failed",
            self.viewers,
            self.cpu_ms_per_viewer_and_second,
            self.late_ms,
            self.rss_per_viewer / 1024.0,
            self.parts,
            self.failed,
        )?;
        match &self.failure {
            Some(failure) => write!(f, " ({failure})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Medians of {} rounds.", self.rounds)?;
        if !self.segments.is_empty() {
            let of = |value: fn(&Segments) -> f64| median(self.segments.iter().map(value));
            writeln!(
                f,
                "\n| whole segments | ours CPU s/GB | nginx, sendfile | ratio |"
            )?;
            writeln!(f, "|---|---|---|---|")?;
            for (name, ours, nginx, ratio) in [
                (
                    "HTTP/1.1",
                    of(|it| it.ours),
                    of(|it| it.nginx),
                    of(|it| it.ours / it.nginx),
                ),
                (
                    "HTTP/2 with TLS 1.3",
                    of(|it| it.ours_h2),
                    of(|it| it.nginx_h2),
                    of(|it| it.ours_h2 / it.nginx_h2),
                ),
                (
                    "with TLS 1.3",
                    of(|it| it.ours_tls),
                    of(|it| it.nginx_tls),
                    of(|it| it.ours_tls / it.nginx_tls),
                ),
            ] {
                writeln!(f, "| {name} | {ours:.3} | {nginx:.3} | {ratio:.2} |")?;
            }
        }
        if !self.viewers.is_empty() {
            writeln!(
                f,
                "\n| viewers, low latency, HTTP/2 | CPU ms per viewer and second | part late p50 / p99 ms \
                 | RSS per viewer KiB | failed |"
            )?;
            writeln!(f, "|---|---|---|---|---|")?;
        }
        let mut counts: Vec<usize> = self.viewers.iter().map(|it| it.viewers).collect();
        counts.sort_unstable();
        counts.dedup();
        for count in counts {
            let rounds = || self.viewers.iter().filter(|it| it.viewers == count);
            let of = |value: fn(&Viewers) -> f64| median(rounds().map(value));
            writeln!(
                f,
                "| {count} | {:.3} | {:.1} / {:.1} | {:.1} | {} |",
                of(|it| it.cpu_ms_per_viewer_and_second),
                of(|it| it.late_ms.p50),
                of(|it| it.late_ms.p99),
                of(|it| it.rss_per_viewer / 1024.0),
                rounds().map(|it| it.failed).sum::<usize>(),
            )?;
        }
        if !self.packager.is_empty() {
            let percent = median(self.packager.iter().copied());
            writeln!(
                f,
                "\nPackaging a stream of 5 Mbit/s that nobody watches: {percent:.2} % of a core."
            )?;
        }
        if !self.rtmp.is_empty() {
            let of = |value: fn(&(Played, Played)) -> f64| median(self.rtmp.iter().map(value));
            writeln!(
                f,
                "\n{PLAYERS} players over RTMP: {:.3} CPU s/GB of the workers without HTTP, {:.3} \
                 with it, ratio {:.3}; p99 {:.2} ms without, {:.2} with it, ratio {:.3}.",
                of(|(off, _)| off.cpu_seconds_per_gb),
                of(|(_, on)| on.cpu_seconds_per_gb),
                of(|(off, on)| on.cpu_seconds_per_gb / off.cpu_seconds_per_gb),
                of(|(off, _)| off.latency_ms.p99),
                of(|(_, on)| on.latency_ms.p99),
                of(|(off, on)| on.latency_ms.p99 / off.latency_ms.p99),
            )?;
        }
        if !self.flv.is_empty() {
            let of = |value: fn(&(f64, f64)) -> f64| median(self.flv.iter().map(value));
            writeln!(
                f,
                "\n{PLAYERS} viewers of FLV: {:.3} CPU s/GB, as players over RTMP {:.3}, ratio {:.2}.",
                of(|(_, flv)| *flv),
                of(|(rtmp, _)| *rtmp),
                of(|(rtmp, flv)| flv / rtmp),
            )?;
        }
        for woken in &self.wake {
            writeln!(f, "\n{woken}")?;
        }
        for size in segments::SIZES {
            let rounds = || self.requests.iter().filter(|it| it.bytes == size);
            if rounds().next().is_some() {
                let of = |value: fn(&Requests) -> f64| median(rounds().map(value));
                writeln!(
                    f,
                    "\nA part of {size} bytes: {:.1} CPU us, from nginx with it at hand {:.1}, ratio {:.2}.",
                    of(|it| it.ours),
                    of(|it| it.nginx),
                    of(|it| it.ours / it.nginx),
                )?;
            }
        }
        Ok(())
    }
}
