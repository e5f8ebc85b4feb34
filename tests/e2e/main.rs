//! End-to-end suites against a real Envoy.
