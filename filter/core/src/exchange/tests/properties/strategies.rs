//! What requests, tokens and configurations are made of.

use super::*;

/// A change to one claim, mostly one that matters.
pub(super) fn claim_change() -> impl Strategy<Value = (String, Value)> {
    let name = select(
        &[
            "exp",
            "iat",
            "nbf",
            "iss",
            "aud",
            "azp",
            "typ",
            "sub",
            "realm_access",
            "preferred_username",
            "cnf",
        ][..],
    );
    let time = (-4_000_i64..4_000).prop_map(|by| json!(NOW.0.saturating_add_signed(by)));
    let value = prop_oneof![
        4 => time,
        4 => select(vec![
            json!(CUSTOMERS), json!(ADMINS), json!("portaswitch"), json!(["portaswitch"]),
            json!(["portaswitch", 1]), json!("selfcare-ui"), json!("Bearer"), json!("ID"), json!(""),
            json!({"roles": ["customer"]}), json!({"roles": "customer"}), json!({"roles": ["customer", 1]}),
            json!({"roles": []}), json!("bob"), Value::Null, json!(1.5), json!(u64::MAX), json!(-1), json!([]),
        ]),
        1 => ".{0,8}".prop_map(Value::String),
    ];
    (name.prop_map(str::to_owned), value)
}

pub(super) fn minter() -> impl Strategy<Value = Minter> {
    let alg = select(&[Algorithm::Rs256, Algorithm::Es256, Algorithm::Ps256, Algorithm::Es384][..]);
    let wild = (
        prop_oneof![Just(Holder::Ours), Just(Holder::Other)],
        alg,
        select(&["customers-1", "customers-2", "x"][..]),
    )
        .prop_map(|(holder, alg, kid)| Minter::new(holder, alg, kid));
    prop_oneof![6 => select(kids().map(|(_, minter)| minter).to_vec()), 4 => wild]
}

/// Bytes that mean something to somebody, and any others.
pub(super) fn awkward(alphabet: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(alphabet).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

pub(super) fn path() -> impl Strategy<Value = Vec<u8>> {
    awkward(&[
        "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", "%25", "%", "2", "e", "f", "a", "rest",
        "health", ";", "%3b", "?", "#", "%23", "%00", "%c3", "%a4", "%61", "~", "*", "{x}", "assets",
    ])
}

pub(super) fn authority() -> impl Strategy<Value = Vec<u8>> {
    awkward(&[
        "selfcare", "admin", "pbx", ".", ".csp.com", ".csp.com", ":", "443", ":443", "@", ",", "[", "]",
        "::1", "A", "-", "_", "%", "/", "0", " ",
    ])
}

/// Names that a client may send: protected ones in any spelling, and their neighbours.
pub(super) fn header_name() -> impl Strategy<Value = String> {
    let known = select(vec![
        "x-porta-user",
        "x-porta-",
        "x-porta-anything",
        "x-porta",
        "x-original-url",
        "x-http-method-override",
        "x-envoy-original-path",
        "connection",
        "authorization",
        "cookie",
        "x-request-id",
        "host",
        "accept",
        "sec-fetch-mode",
        "x-forwarded-for",
        ":path",
        ":authority",
        ":method",
    ]);
    let spelt = (known, any::<u64>()).prop_map(|(name, bits)| {
        let change = |(at, letter): (usize, char)| match (letter, bits >> (at % 32 * 2) & 3) {
            ('-', 1 | 3) => '_',
            (letter, 2 | 3) => letter.to_ascii_uppercase(),
            (letter, _) => letter,
        };
        name.chars().enumerate().map(change).collect::<String>()
    });
    prop_oneof![8 => spelt, 2 => "[a-zA-Z_-]{1,12}"]
}

pub(super) fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => awkward(&["Bearer ", "bearer", "a.b.c", ",", " ", "x-porta-user", "X_Porta_User", "close", "navigate",
                       "text/html", "=", "Basic "]),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

pub(super) fn headers() -> impl Strategy<Value = Vec<Header>> {
    proptest::collection::vec((header_name(), header_value()), 0..10)
}

/// A head with what a request needs, and anything besides.
pub(super) fn any_head() -> impl Strategy<Value = Head> {
    let method = prop_oneof![4 => select(vec![b"GET".to_vec(), b"POST".to_vec()]), 1 => header_value()];
    let authority = prop_oneof![4 => Just(SELFCARE.into()), 1 => authority()];
    let path = prop_oneof![
        2 => select(vec![b"/rest/x".to_vec(), b"/health".to_vec(), b"/rest/Session/ping".to_vec(), b"/assets/a".to_vec()]),
        1 => path(),
    ];
    (method, authority, path, headers()).prop_map(|(method, authority, path, headers)| {
        let mut fields: Vec<Header> = [(":method", method), (":authority", authority), (":path", path)]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec();
        fields.extend(headers);
        Head(fields, None)
    })
}

/// JSON of any shape, with the words of a configuration.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let word = select(vec![
        "",
        "*",
        "GET",
        "/",
        "/a",
        "any",
        "customers",
        "10s",
        "0s",
        "account",
        "none",
        "x-porta-",
        "RS256",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        word.prop_map(|word| json!(word)),
        ".{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

/// What may happen between two requests, and a request.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// One of the tokens, at one of the places.
    Request(usize, usize),
    /// Both clocks go on by so many seconds.
    Pass(u64),
    /// The wall clock is set, by so many seconds from the beginning.
    Set(i64),
    /// The customers' realm publishes another choice of its keys.
    Publish(usize),
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => (0..TOKENS.len(), 0..PLACES.len()).prop_map(|(token, place)| Event::Request(token, place)),
        2 => (0..400_u64).prop_map(Event::Pass),
        1 => (-100_i64..2_000).prop_map(Event::Set),
        2 => (0..4_usize).prop_map(Event::Publish),
    ];
    proptest::collection::vec(event, 0..40)
}
