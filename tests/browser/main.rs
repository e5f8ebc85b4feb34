//! The use cases as a person sees them: Chromium before a real Envoy with the filter, over TLS, between two real Keycloaks with their
//! one-time codes and an emulator of PortaSwitch. The number of the use case is in the name of each test.
//!
//! The two servers start once and serve all tests; each test has an Envoy, an emulator, a browser and users of its own. What a person sees
//! is kept in `target/browser/<test>/`. Without Envoy, the built filter, Keycloak or ChromeDriver all are skipped, loudly; with `CI` set that
//! is a failure.

mod administrators;
mod chromium;
mod customers;
mod edge;
mod failures;
mod forms;
mod pages;
mod sessions;
mod support;
