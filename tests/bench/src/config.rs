//! The Envoys that are compared. All are `envoy/minimal.yaml` with one worker; they differ in the filters before the router.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use portcullis_tests::EnvoyConfig;
use portcullis_tests::envoy::find_wasm;
use serde::Serialize;
use serde_json::{Value, json};
use wasmparser::{Parser, Payload};

/// The host of the one site of `envoy/minimal.yaml`.
pub(crate) const HOST: &str = "selfcare.csp.com";
/// The path of the rule that most rows hit: a realm role and a client role.
pub(crate) const PATH: &str = "/rest/Invoice/get_invoice_list";
/// The client that browsers sign in by, where they do.
pub(crate) const CLIENT: &str = "selfcare-ui";
/// What seals their sessions: 32 bytes in base64url, the same in every Envoy of a run.
const COOKIE_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
/// How many different targets a row asks for, where there are so many: more than the processor predicts by heart.
const TARGETS: usize = 64;

/// What stands before the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setup {
    /// Nothing.
    None,
    /// A WebAssembly filter that does nothing.
    Noop,
    /// One that makes the calls to the host that Portcullis makes for a token seen before, and decides nothing.
    Calls,
    /// Portcullis.
    Portcullis,
    /// Portcullis, kept from the host's cryptography.
    PortcullisInVm,
    /// Portcullis, with Envoy at log level `warning`: it does not log what it refuses.
    PortcullisQuiet,
    /// Portcullis with a browser login.
    Session,
    /// The same without any memory: each session is opened, and its token verified, as if for the first time.
    SessionForgetful,
    /// Portcullis with so many rules at its one site.
    Rules(usize),
    /// Portcullis with so many sites, a host each.
    Hosts(usize),
    /// `jwt_authn` with its cache, then `rbac`.
    NativeCached,
    /// `jwt_authn` without its cache, then `rbac`.
    Native,
}

/// Where the Envoys find what is around them.
pub(crate) struct Surroundings {
    pub(crate) issuer: SocketAddr,
    pub(crate) upstream: SocketAddr,
    /// The module that does nothing.
    pub(crate) noop: PathBuf,
}

impl Setup {
    /// Whether the token is judged at all.
    pub(crate) const fn judges(self) -> bool {
        !matches!(self, Self::None | Self::Noop | Self::Calls)
    }

    /// Whether upstreams are told who is there.
    pub(crate) fn identifies(self) -> bool {
        self.judges() || self == Self::Calls
    }

    /// Whether the host verifies signatures for the filter; `None`: there is no filter of ours.
    pub(crate) const fn host_verifies(self) -> Option<bool> {
        match self {
            Self::None | Self::Noop | Self::Calls | Self::NativeCached | Self::Native => None,
            Self::PortcullisInVm => Some(false),
            _ => Some(true),
        }
    }

    /// Whether requests bring a session in place of a token.
    pub(crate) const fn takes_sessions(self) -> bool {
        matches!(self, Self::Session | Self::SessionForgetful)
    }

    /// What the load asks for: host and path.
    pub(crate) fn targets(self) -> Vec<(String, String)> {
        // Evenly over all there are, the last one included.
        let spread = |all: usize| {
            let some = all.min(TARGETS);
            (1..=some).map(move |number| number * all / some - 1)
        };
        match self {
            Self::Rules(rules) => {
                spread(rules).map(|n| (HOST.to_owned(), format!("{}/get_list", rule_path(n)))).collect()
            }
            Self::Hosts(hosts) => spread(hosts).map(|n| (host(n), PATH.to_owned())).collect(),
            _ => vec![(HOST.to_owned(), PATH.to_owned())],
        }
    }

    /// The Envoy.
    pub(crate) fn config(self, around: &Surroundings, workers: u32) -> anyhow::Result<EnvoyConfig> {
        let config = EnvoyConfig::file("minimal.yaml")
            .cluster("keycloak_customers", around.issuer)
            .cluster("upstream", around.upstream)
            .concurrency(workers)
            .edit_plugin(|plugin| {
                plugin["realms"]["customers"]["algorithms"] = json!(["RS256", "ES256", "PS256"]);
            });
        Ok(match self {
            Self::None => config.without_wasm().edit_manager(drop_token),
            Self::Noop => config.edit_manager(|manager| {
                drop_token(manager);
                replace_module(manager, around, Value::Null);
            }),
            Self::Calls => config.edit_manager(|manager| {
                let text = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "calls"});
                replace_module(manager, around, text);
            }),
            Self::Portcullis => config,
            Self::PortcullisInVm => {
                let capabilities = capabilities_without("proxy_call_foreign_function")?;
                // Each call that is not allowed would be logged as an error.
                config.log_level("critical").edit_manager(|manager| {
                    let plugin = &mut manager["http_filters"][0]["typed_config"]["config"];
                    plugin["vm_config"]["capability_restriction_config"] = json!({"allowed_capabilities": capabilities});
                })
            }
            Self::PortcullisQuiet => config.log_level("warning"),
            Self::Session => with_login(config),
            Self::SessionForgetful => with_login(config)
                .edit_plugin(|plugin| plugin["limits"] = json!({"max_remembered_tokens": 0})),
            Self::Rules(rules) => config.edit_plugin(|plugin| {
                let rules = (0..rules).map(|number| {
                    json!({"name": format!("rule-{number}"), "path": {"prefix": rule_path(number)}, "require": require()})
                });
                plugin["sites"][0]["rules"] = rules.collect();
            }),
            Self::Hosts(hosts) => config.edit_plugin(|plugin| {
                let site = plugin["sites"][0].take();
                let sites = (0..hosts).map(|number| {
                    let mut site = site.clone();
                    site["hosts"] = json!([host(number)]);
                    site
                });
                plugin["sites"] = sites.collect();
            }),
            Self::NativeCached => native(config, true),
            Self::Native => native(config, false),
        })
    }
}

/// A browser login behind something that speaks TLS for Envoy, so that what TLS costs is in no row.
fn with_login(config: EnvoyConfig) -> EnvoyConfig {
    config.edit_manager(|manager| manager["xff_num_trusted_hops"] = json!(1)).edit_plugin(|plugin| {
        plugin["realms"]["customers"]["login"] = json!({
            "client_id": CLIENT,
            "cookie_keys": [{"id": "bench", "inline": COOKIE_KEY}],
            // No browser is there to take the cookies in which a use is noted.
            "session": {"idle": "12h"},
        });
        plugin["sites"][0]["login"] = json!("required");
    })
}

fn rule_path(number: usize) -> String {
    format!("/rest/Service{number:05}")
}

fn host(number: usize) -> String {
    format!("company-{number:05}.pbx.csp.com")
}

fn require() -> Value {
    json!({"realm_roles": {"any": ["customer"]}, "client_roles": {"portaswitch": {"all": ["billing"]}}})
}

/// The module that decides nothing in place of Portcullis.
fn replace_module(manager: &mut Value, around: &Surroundings, configuration: Value) {
    let plugin = &mut manager["http_filters"][0]["typed_config"]["config"];
    plugin["vm_config"]["code"]["local"]["filename"] = json!(around.noop);
    plugin["configuration"] = configuration;
}

/// Portcullis and `jwt_authn` take the token out; without them the route does, so that every upstream gets about the same bytes.
fn drop_token(manager: &mut Value) {
    manager["route_config"]["request_headers_to_remove"] = json!(["authorization"]);
}

/// The same policy in Envoy's own filters: `jwt_authn` judges the token and writes the headers, `rbac` asks for the roles.
fn native(config: EnvoyConfig, cached: bool) -> EnvoyConfig {
    let plugin = config.plugin_value();
    let realm = &plugin["realms"]["customers"];
    let issuer = realm["issuer"].as_str().unwrap_or_default();
    let mut provider = json!({
        "issuer": realm["issuer"],
        "audiences": realm["audiences"],
        "require_expiration": true,
        "clock_skew_seconds": 30,
        "max_lifetime": "86400s",
        "forward": false,
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "payload_in_metadata": "jwt",
        "claim_to_headers": [
            {"header_name": "x-porta-user", "claim_name": "preferred_username"},
            {"header_name": "x-porta-subject", "claim_name": "sub"},
            {"header_name": "x-porta-roles", "claim_name": "realm_access.roles"},
        ],
        "remote_jwks": {
            "http_uri": {
                "uri": format!("{issuer}/protocol/openid-connect/certs"),
                "cluster": "keycloak_customers",
                "timeout": "3s",
            },
            "cache_duration": "300s",
            "async_fetch": {"fast_listener": false},
        },
    });
    if cached {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 1000, "jwt_max_token_size": 16384});
    }
    let assets = json!({"prefix": "/assets/"});
    let jwt_authn = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"customers": provider},
            "rules": [
                {"match": assets},
                {"match": {"prefix": "/"}, "requires": {"provider_name": "customers"}},
            ],
        },
    });

    let under = |prefix: &str| json!({"url_path": {"path": {"prefix": prefix}}});
    let role = |path: &[&str], role: &str| {
        let path: Vec<Value> = ["jwt"].iter().chain(path).map(|key| json!({ "key": key })).collect();
        json!({"sourced_metadata": {"metadata_matcher": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": path,
            "value": {"list_match": {"one_of": {"string_match": {"exact": role}}}},
        }}})
    };
    let customer = role(&["realm_access", "roles"], "customer");
    let billing = role(&["resource_access", "portaswitch", "roles"], "billing");
    let elsewhere = json!({"not_rule": {"or_rules": {"rules": [under("/assets/"), under("/rest/Invoice")]}}});
    let rbac = json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {
                    "assets": {"permissions": [under("/assets/")], "principals": [{"any": true}]},
                    "invoices": {
                        "permissions": [under("/rest/Invoice")],
                        "principals": [{"and_ids": {"ids": [customer, billing]}}],
                    },
                    "everything-else": {"permissions": [elsewhere], "principals": [customer]},
                },
            },
        },
    });
    config.edit_manager(|manager| {
        manager["route_config"]["request_headers_to_add"] = json!([{
            "header": {"key": "x-porta-realm", "value": "customers"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }]);
        let filters = manager["http_filters"].as_array_mut();
        filters.expect("minimal.yaml has HTTP filters").splice(..1, [jwt_authn, rbac]);
    })
}

/// Everything that the filter and its host call each other by, but one: the form in which Envoy takes a prohibition.
fn capabilities_without(forbidden: &str) -> anyhow::Result<Value> {
    let path = find_wasm().map_err(anyhow::Error::msg)?;
    let module = fs::read(&path).with_context(|| path.display().to_string())?;
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(&module) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    names.push(import?.name.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    names.push(export?.name.to_owned());
                }
            }
            _ => {}
        }
    }
    anyhow::ensure!(names.iter().any(|name| name == forbidden), "the filter does not call {forbidden}");
    Ok(names.into_iter().filter(|name| name != forbidden).map(|name| (name, json!({}))).collect())
}
