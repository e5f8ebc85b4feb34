//! A request that waited is judged once: resuming it uses it up.

use portcullis_core::{Env, Exchange, Filter, Input, KeyStore, Step};

fn twice(exchange: Exchange, filter: &Filter, keys: &KeyStore, env: Env) -> [Step; 2] {
    [
        exchange.resume(filter, keys, env, Input::KeysChanged),
        exchange.resume(filter, keys, env, Input::Deadline),
    ]
}

fn main() {}
