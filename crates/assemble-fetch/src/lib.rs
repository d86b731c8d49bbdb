//! Gets bytes by location, checks them and keeps them in a content-addressed cache.

mod escape;
mod http;

pub use http::{
    GiveUp, Http, HttpError, HttpOptions, ProxySettings, RetryDecision, RetryPolicy, is_transient_status,
    jitter_seed, retry_delay,
};
