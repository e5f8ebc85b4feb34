//! Tokens by the ten thousand. Signing them takes a while, so they are kept on disk for the next run, with the public half of the key
//! that signed them; the private half is never written.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_tests::{Algorithm, Realm, token};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::progress;

/// Under the filter's default `max_token_lifetime` of 24 hours.
const LIFETIME: u64 = 23 * 3600;
/// Tokens that live shorter are not used any more: no run takes so long.
const SPARE: u64 = 2 * 3600;
/// What a large token has more than an ordinary one: roles, as Keycloak's large tokens do; of another client, so that no header grows.
const LARGE_ROLES: usize = 250;

/// Which tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Set {
    Rs256,
    Es256,
    Ps256,
    /// Those of `Rs256`, a bit of each signature flipped.
    Forged,
    /// RS256 of about 8 kB.
    Large,
}

/// What is known about a set that lies on disk.
#[derive(Serialize, Deserialize)]
struct Label {
    jwk: Value,
    expires: u64,
    count: usize,
}

/// The tokens that lie on disk.
pub(crate) struct Store {
    directory: PathBuf,
    keys: Vec<Value>,
}

impl Set {
    const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "rs256",
            Self::Es256 => "es256",
            Self::Ps256 => "ps256",
            Self::Forged => "forged",
            Self::Large => "large",
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 | Self::Forged | Self::Large => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::Ps256 => Algorithm::PS256,
        }
    }
}

impl Store {
    /// Has `count` tokens of each set ready in `directory`; what is forged comes after what it is made of.
    pub(crate) fn open(directory: &Path, sets: &[(Set, usize)]) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let mut store = Self { directory: directory.to_owned(), keys: Vec::new() };
        for &(set, count) in sets {
            if set == Set::Forged {
                store.forge()?;
                continue;
            }
            let label = match store.label(set) {
                Some(label) if label.count >= count && label.expires > portcullis_tests::now() + SPARE => {
                    label
                }
                _ => store.mint(set, count)?,
            };
            store.keys.push(label.jwk);
        }
        Ok(store)
    }

    /// The keys that verify them.
    pub(crate) fn keys(&self) -> Vec<Value> {
        self.keys.clone()
    }

    /// The file of a set: a token a line.
    pub(crate) fn file(&self, set: Set) -> PathBuf {
        self.directory.join(format!("{}.txt", set.name()))
    }

    fn label(&self, set: Set) -> Option<Label> {
        self.file(set).is_file().then_some(())?;
        serde_json::from_slice(&fs::read(self.label_file(set)).ok()?).ok()
    }

    fn label_file(&self, set: Set) -> PathBuf {
        self.directory.join(format!("{}.json", set.name()))
    }

    /// Forges what was minted: signing once more what is to be no good would only take time.
    fn forge(&self) -> anyhow::Result<()> {
        let minted = fs::read_to_string(self.file(Set::Rs256))?;
        // Not the first bit: a signature larger than the modulus would be refused without any arithmetic.
        let forged = minted.lines().map(|token| token::flip_bit(token, 2, 1000) + "\n");
        Ok(fs::write(self.file(Set::Forged), forged.collect::<String>())?)
    }

    fn mint(&self, set: Set, count: usize) -> anyhow::Result<Label> {
        let expires = portcullis_tests::now() + LIFETIME;
        let realm = Realm::customers();
        if set.algorithm() != Algorithm::RS256 {
            realm.add_key(set.algorithm());
        }
        let signing = realm.jwks()["keys"][0].take();

        let step = progress::step(&format!("minting {count} {} tokens", set.name()), count);
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers)
                .map(|worker| {
                    let (realm, step) = (&realm, &step);
                    scope.spawn(move || {
                        let numbers = (worker..count).step_by(workers);
                        numbers
                            .map(|number| step.count(mint_one(realm, set, number, expires)))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        });
        anyhow::ensure!(tokens.len() == count, "a token could not be signed");
        step.done();

        let label = Label { jwk: signing, expires, count };
        // The label goes last: without one the set does not exist.
        let _ = fs::remove_file(self.label_file(set));
        fs::write(self.file(set), tokens.join("\n") + "\n")?;
        fs::write(self.label_file(set), serde_json::to_vec(&label)?)?;
        Ok(label)
    }
}

fn mint_one(realm: &Realm, set: Set, number: usize, expires: u64) -> String {
    let builder = realm.token().alg(set.algorithm());
    let builder = builder.claim("exp", expires).claim("preferred_username", format!("user{number:06}"));
    if set != Set::Large {
        return builder.sign();
    }
    let roles: Vec<String> = (0..LARGE_ROLES).map(|role| format!("department-{role:03}-viewer")).collect();
    let access = json!({"portaswitch": {"roles": ["billing"]}, "account": {"roles": roles}});
    builder.claim("resource_access", access).sign()
}
