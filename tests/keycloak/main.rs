//! The filter in a real Envoy, between two real Keycloaks and an upstream of the testkit: what Keycloak really sends, and what becomes of it.
//!
//! The two servers start once and serve all tests; each test has an Envoy of its own. A test that changes a realm or a user makes one
//! for itself, and the test that kills a server waits until no other test needs it. Without Envoy, the built filter or Keycloak
//! all are skipped, loudly; with `CI` set that is a failure.

mod edge;
mod hostnames;
mod identity;
mod login;
mod outage;
mod rotation;
mod second_factor;
mod servers;
mod sessions;
mod tokens;
