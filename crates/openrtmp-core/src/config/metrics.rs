//! Who is told numbers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Numbers and health over HTTP (the `openrtmp` command), and as text for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MetricsConfig {
    /// Where the command tells them: `/metrics`, `/healthz`, `/readyz`. Whoever reaches these
    /// addresses is told; the library listens nowhere.
    pub listen: Vec<SocketAddr>,
    /// Streams that have series of their own in the text for Prometheus
    /// ([`Metrics::to_prometheus`](crate::Metrics::to_prometheus)), up to 100,000: those that
    /// came first. The others share series.
    pub streams: usize,
}

impl Default for MetricsConfig {
    fn default() -> MetricsConfig {
        MetricsConfig {
            listen: Vec::new(),
            streams: 1000,
        }
    }
}
