//! A request that waited is judged once: resuming it uses it up.

use portcullis_core::{Exchange, Input, Knowledge, Step};

fn twice(exchange: Exchange, knowledge: &mut Knowledge<'_>) -> [Step; 2] {
    [exchange.resume(knowledge, Input::KeysChanged), exchange.resume(knowledge, Input::Deadline)]
}

fn main() {}
