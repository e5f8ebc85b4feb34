//! Whole exchanges: `authority`, `path`, `method` and header fields, one a line. A token goes through if it is
//! the one that was minted here, alone and unchanged; the client's identity headers never do.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use portcullis_core::{
    AcceptedTokens, Decision, Entropy, Env, Exchange, Filter, Ground, Header, KeyStore, Knowledge, Monotonic,
    Need, OpenedSessions, Revoked, Step, UnixTime, fuzzing,
};
use serde_json::{Value, json};

const ENV: Env = Env { now: UnixTime(1_794_315_200), monotonic: Monotonic(1) };

static GATE: LazyLock<(Filter, KeyStore)> = LazyLock::new(|| {
    let key = SigningKey::from_slice(&[1; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let [x, y] = [point.x(), point.y()].map(|number| URL_SAFE_NO_PAD.encode(number.unwrap()));
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y});
    let mut document: Value = serde_json::from_str(include_str!("../seeds/config/two-realms.json")).unwrap();
    document["realms"]["customers"]["keys"]["bootstrap"] = json!({"keys": [jwk]});
    document["legacy"] = json!({"logins": {"selfcare.csp.com": ["ZZZPortaOne"]}});
    let login = json!({"name": "login", "path": {"template": "/rest/Session/{m}"}, "access": "legacy"});
    document["text"] =
        json!({"names": {"customers": "<&\">"}, "languages": {"uk": {"sign_in.title": "Вхід"}}});
    document["sites"][0]["rules"].as_array_mut().unwrap().insert(0, login);
    let filter = Filter::parse(document.to_string().as_bytes()).unwrap();
    let keys = KeyStore::new(&filter, 1, ENV.monotonic);
    (filter, keys)
});

/// Stands for itself as `TOKEN` in an input.
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let claims = json!({
        "iss": "https://sso.csp.com/realms/customers", "aud": "portaswitch", "azp": "selfcare-ui",
        "typ": "Bearer", "sub": "s", "preferred_username": "bob", "exp": ENV.now.0 + 300, "iat": ENV.now.0,
        "realm_access": {"roles": ["customer"]}, "resource_access": {"portaswitch": {"roles": ["billing"]}},
    });
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let input = format!("{}.{}", encode(r#"{"alg":"ES256","kid":"k"}"#), encode(&claims.to_string()));
    let signature: Signature = SigningKey::from_slice(&[1; 32]).unwrap().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
});

fn head(input: &[u8]) -> Vec<Header> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let pseudo = [":authority", ":path", ":method"].map(|name| (name.to_owned(), lines.next()));
    let mut head: Vec<Header> =
        pseudo.into_iter().filter_map(|(name, value)| Some((name, value?.to_vec()))).collect();
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[..at]).to_lowercase();
        let value = String::from_utf8_lossy(line.get(at + 1..).unwrap_or_default()).into_owned();
        head.push((name, value.replace("TOKEN", &TOKEN).into_bytes()));
    }
    head
}

fuzz_target!(|input: &[u8]| {
    let (filter, keys) = &*GATE;
    let head = head(input);
    let values = |name: &str| {
        head.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect::<Vec<_>>()
    };
    let (mut accepted, mut revoked) = (AcceptedTokens::new(filter), Revoked::new(filter));
    let mut opened = OpenedSessions::new(filter);
    let mut judge = || {
        let (accepted, opened, revoked) = (&mut accepted, &mut opened, &mut revoked);
        let entropy = &mut Entropy::seeded([7; 32]);
        Exchange::start(
            &mut Knowledge { filter, keys, accepted, opened, revoked, entropy, env: ENV },
            &head,
            || None,
        )
    };
    let step = judge();
    assert_eq!(format!("{step:?}"), format!("{:?}", judge()), "a remembered token is judged as at first");
    match step {
        Step::Done(Decision::Forward { request, permit, .. }) => {
            let kept = head.iter().filter(|(name, _)| !request.removed().contains(name));
            let kept = kept.filter(|(name, _)| request.set().iter().all(|(set, _)| **set != **name));
            assert!(kept.into_iter().all(|(name, _)| !filter.strips(name)));
            assert!(
                request.set().iter().all(|(_, value)| value.bytes().all(|byte| byte >= b' ' && byte != 0x7f))
            );
            if matches!(permit.ground, Ground::Token(_)) {
                let [value] = values("authorization")[..] else { panic!("not one credential") };
                assert!(value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer ")));
                assert_eq!(value.get(7..), Some(TOKEN.as_bytes()));
            }
            let host = fuzzing::host(values(":authority")[0]).expect("a forwarded request has a host");
            assert_eq!(fuzzing::host(host.as_bytes()), Some(host));
            let path = values(":path")[0].split(|byte| *byte == b'?').next().unwrap_or_default();
            let path = fuzzing::normal_path(path).expect("and a path in normal form");
            assert_eq!(fuzzing::normal_path(path.as_bytes()), Some(path.clone()));
            assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")) && !path.contains("//"));
        }
        Step::Done(Decision::Reply { reply, refusal }) => {
            assert!((400..=503).contains(&reply.status));
            assert!(!refusal.to_string().contains(TOKEN.as_str()) && !reply.body.contains(TOKEN.as_str()));
            if let Some(page) = reply.body.strip_prefix("<!doctype html>")
                && let Some((_, id)) = page.split_once("<code dir=\"ltr\">")
            {
                // All that a page repeats of a request is its id, which ends where the page ends it.
                let (id, end) = id.split_once('<').expect("the element is closed");
                assert_eq!(end, "/code></p></footer></body></html>\n");
                assert!(!id.contains(['>', '"', '\'']));
            }
        }
        Step::Done(Decision::Answer { .. }) => panic!("nobody signs in here"),
        Step::Wait(_, need) => {
            assert!(matches!(need, Need::Body(_)) || !values("authorization").is_empty());
        }
    }
});
