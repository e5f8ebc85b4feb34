//! What the core's pieces cost natively, for whoever changes them: `cargo bench -p portcullis-bench`. What a request costs in Envoy is
//! another question, which `scripts/bench.sh` answers.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use portcullis_core::{
    AcceptedTokens, Decision, Entropy, Env, Exchange, Filter, Header, KeyStore, Knowledge, Monotonic,
    OpenedSessions, Revoked, Step, UnixTime,
};
use serde_json::{Value, json};

const ENV: Env = Env { now: UnixTime(1_794_315_200), monotonic: Monotonic(1) };
const DOCUMENT: &str = include_str!("../../../filter/core/src/testing/two-realms.json");

fn key() -> SigningKey {
    SigningKey::from_slice(&[1; 32]).unwrap()
}

fn document(rules: usize) -> String {
    let point = key().verifying_key().to_encoded_point(false);
    let [x, y] = [point.x(), point.y()].map(|number| URL_SAFE_NO_PAD.encode(number.unwrap()));
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y});
    document["realms"]["customers"]["keys"]["bootstrap"] = json!({"keys": [jwk]});
    let list = document["sites"][0]["rules"].as_array_mut().unwrap();
    for n in 0..rules {
        let path = json!({"template": format!("/api/v{n}/{{id}}/get_*")});
        list.insert(0, json!({"name": format!("rule-{n}"), "path": path, "access": "public"}));
    }
    document.to_string()
}

fn token(jti: u64) -> String {
    let claims = json!({
        "iss": "https://sso.csp.com/realms/customers", "aud": ["portaswitch", "account"], "azp": "selfcare-ui",
        "typ": "Bearer", "sub": "8f0b7d1e-3c55-4f5a-9d0c-2f4f5b6a7c81", "preferred_username": "bob", "jti": jti,
        "exp": ENV.now.0 + 300, "iat": ENV.now.0, "realm_access": {"roles": ["customer", "offline_access"]},
        "resource_access": {"portaswitch": {"roles": ["billing"]}}, "email": "bob@example.com", "i_customer": 4711,
    });
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let input =
        format!("{}.{}", encode(r#"{"alg":"ES256","typ":"JWT","kid":"k"}"#), encode(&claims.to_string()));
    let signature: Signature = key().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn head(path: &str, token: Option<&str>) -> Vec<Header> {
    let mut fields = vec![
        (":authority", "selfcare.csp.com".to_owned()),
        (":method", "GET".to_owned()),
        (":path", path.to_owned()),
        ("accept", "application/json".to_owned()),
        ("user-agent", "criterion".to_owned()),
        ("x-request-id", "6f3c9c9e-3f5a-4b0e-9d59-1b6f1a3f7c11".to_owned()),
    ];
    fields.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
    fields.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect()
}

fn judge(filter: &Filter, keys: &KeyStore, accepted: &mut AcceptedTokens, head: &[Header]) -> bool {
    let step = Exchange::start(
        &mut Knowledge {
            filter,
            keys,
            accepted,
            opened: &mut OpenedSessions::new(filter),
            revoked: &mut Revoked::new(filter),
            entropy: &mut Entropy::seeded([7; 32]),
            env: ENV,
        },
        head,
        || None,
    );
    matches!(step, Step::Done(Decision::Forward { .. }))
}

fn pieces(criterion: &mut Criterion) {
    let filter = Filter::parse(document(0).as_bytes()).unwrap();
    let keys = KeyStore::new(&filter, 1, ENV.monotonic);
    let (seen, invoices) = (token(0), "/rest/Invoice/get_invoice_list");

    let mut accepted = AcceptedTokens::new(&filter);
    let request = head(invoices, Some(&seen));
    assert!(judge(&filter, &keys, &mut accepted, &request));
    criterion.bench_function("token seen before", |bencher| {
        bencher.iter(|| judge(&filter, &keys, &mut accepted, &request));
    });
    criterion.bench_function("new token, ES256 by RustCrypto", |bencher| {
        bencher.iter_batched_ref(
            || AcceptedTokens::new(&filter),
            |accepted| judge(&filter, &keys, accepted, &request),
            BatchSize::SmallInput,
        );
    });
    let forged = head(invoices, Some(&format!("{}AAAA", &seen[..seen.len() - 4])));
    criterion.bench_function("bad signature", |bencher| {
        bencher.iter(|| judge(&filter, &keys, &mut accepted, &forged));
    });
    for (name, path) in [("public path", "/assets/logo.svg"), ("ambiguous path", "/a/../b")] {
        let request = head(path, None);
        criterion
            .bench_function(name, |bencher| bencher.iter(|| judge(&filter, &keys, &mut accepted, &request)));
    }
    for rules in [10, 1_000] {
        let document = document(rules);
        criterion.bench_function(&format!("configuration of {rules} rules"), |bencher| {
            bencher.iter(|| Filter::parse(document.as_bytes()).unwrap());
        });
        let filter = Filter::parse(document.as_bytes()).unwrap();
        let request = head("/api/v5/1/get_x", None);
        criterion.bench_function(&format!("last of {rules} rules"), |bencher| {
            bencher.iter(|| judge(&filter, &keys, &mut accepted, &request));
        });
    }
}

criterion_group!(benches, pieces);
criterion_main!(benches);
