//! The filter in a real Envoy, between an issuer and an upstream of the testkit. One module a subject.
//!
//! The tests say what a client and the upstream see: HTTP, the log, the metrics, and nothing of the filter's inside. Without Envoy or the
//! built filter they are skipped, loudly; with `CI` set that is a failure.

mod access;
mod ask;
mod attacks;
mod capabilities;
mod configuration;
mod credentials;
mod errors;
mod fronting;
mod hosts;
mod identity;
mod keys;
mod lease;
mod legacy;
mod legacy_sessions;
mod lifecycle;
mod login;
mod outage;
mod paths;
mod realms;
mod reference;
mod secrets;
mod smoke;
mod soak;
mod spoofing;
mod support;
mod tokens;
mod trap;
mod upgrades;
mod verification;
mod waiting;
