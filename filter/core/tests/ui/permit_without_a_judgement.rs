//! Nothing is forwarded without a permit, and permits come from an exchange.

use portcullis_core::{Decision, Ground, HeaderEdits, Permit};

fn let_pass(request: HeaderEdits) -> Decision {
    let permit = Permit { realm: "".into(), rule: "".into(), ground: Ground::Public };
    Decision::Forward { request, set_cookies: Vec::new(), permit, watch: None }
}

fn main() {}
