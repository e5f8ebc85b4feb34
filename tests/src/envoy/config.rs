//! A configuration from `/envoy`, rewritten so that it runs on any machine beside any other.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::{Envoy, StartError, find_wasm};

/// The file that a dynamic Envoy reads its listeners from.
pub(super) const LISTENERS: &str = "listeners.json";

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// What the shipped configurations take from Envoy's environment.
pub const SECRETS: [(&str, &str); 3] = [
    ("CUSTOMERS_CLIENT_SECRET", "the customers' secret"),
    ("ADMINS_CLIENT_SECRET", "the administrators' secret"),
    ("PORTCULLIS_COOKIE_KEY", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"),
];

/// What Envoy will be started with.
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing before it is started"]
pub struct EnvoyConfig {
    yaml: Value,
    concurrency: u32,
    environment: Vec<(String, String)>,
    log_level: String,
    component_log_level: Option<String>,
    dynamic: bool,
    hot_restart: bool,
}

impl EnvoyConfig {
    /// A file of `/envoy`, with every listener and the admin interface on any port of 127.0.0.1, and the filter from this machine.
    ///
    /// # Panics
    /// When there is no such file, or it is no YAML.
    pub fn file(name: &str) -> Self {
        let path = crate::repository().join("envoy").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let yaml = serde_yaml_ng::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::value(yaml)
    }

    /// A configuration of the test's own, treated as one from a file.
    pub fn value(yaml: Value) -> Self {
        let mut config = Self {
            yaml,
            concurrency: 1,
            environment: SECRETS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            log_level: "info".to_owned(),
            component_log_level: None,
            dynamic: false,
            hot_restart: false,
        };
        config.localise();
        config
    }

    /// Sends a cluster to this address, in plain text.
    ///
    /// # Panics
    /// When the configuration has no such cluster.
    pub fn cluster(mut self, name: &str, addr: SocketAddr) -> Self {
        let cluster =
            items(&mut self.yaml, "/static_resources/clusters").iter_mut().find(|c| c["name"] == name);
        let cluster = cluster.unwrap_or_else(|| panic!("the configuration has no cluster {name}"));
        let cluster = cluster.as_object_mut().expect("a cluster is an object");
        for member in ["transport_socket", "dns_lookup_family", "typed_dns_resolver_config", "cluster_type"] {
            cluster.remove(member);
        }
        let address = json!({"address": addr.ip().to_string(), "port_value": addr.port()});
        let endpoint = json!({"endpoint": {"address": {"socket_address": address}}});
        cluster.insert("type".into(), "STATIC".into());
        cluster.insert(
            "load_assignment".into(),
            json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}),
        );
        self
    }

    /// Whether there is such a cluster.
    pub fn has_cluster(&self, name: &str) -> bool {
        let clusters = self.yaml.pointer("/static_resources/clusters").and_then(Value::as_array);
        clusters.is_some_and(|clusters| clusters.iter().any(|cluster| cluster["name"] == name))
    }

    /// Replaces the plugin configuration by a `google.protobuf.Struct`. Envoy 1.40 hands that to the filter in protobuf's binary form, not
    /// as the JSON that its documentation promises.
    pub fn plugin(self, configuration: Value) -> Self {
        let mut any = json!({"@type": "type.googleapis.com/google.protobuf.Struct"});
        any["value"] = configuration;
        self.set_plugin(&any)
    }

    /// Replaces the plugin configuration by a `google.protobuf.StringValue`, JSON or not.
    pub fn plugin_string(self, configuration: &str) -> Self {
        self.set_plugin(&json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration
        }))
    }

    /// Changes the plugin configuration that is there.
    ///
    /// # Panics
    /// When the configuration has no Wasm filter.
    pub fn edit_plugin(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        let filter = wasm_filters(&mut self.yaml).into_iter().next();
        let filter = filter.expect("the configuration has a Wasm filter");
        edit(&mut filter["typed_config"]["config"]["configuration"]["value"]);
        self
    }

    /// The plugin configuration, as the filter will read it.
    ///
    /// # Panics
    /// When the configuration has no Wasm filter.
    pub fn plugin_value(&self) -> Value {
        let mut yaml = self.yaml.clone();
        let filter = wasm_filters(&mut yaml).into_iter().next();
        let filter = filter.expect("the configuration has a Wasm filter");
        filter["typed_config"]["config"]["configuration"]["value"].take()
    }

    /// Another module in the filter's place. The list of what the filter may call is not that module's, so it goes.
    ///
    /// # Panics
    /// When the Wasm filter has no VM.
    pub fn module(self, wasm: &Path) -> Self {
        let mut config = self.build_of_filter(wasm);
        for filter in wasm_filters(&mut config.yaml) {
            let vm = filter["typed_config"]["config"]["vm_config"].as_object_mut();
            vm.expect("a Wasm filter has a VM").remove("capability_restriction_config");
        }
        config
    }

    /// Another build of the filter, say one with a way to make it panic; it may call what the filter may.
    pub fn build_of_filter(mut self, wasm: &Path) -> Self {
        for filter in wasm_filters(&mut self.yaml) {
            filter["typed_config"]["config"]["vm_config"]["code"] = json!({"local": {"filename": wasm}});
        }
        self
    }

    /// Puts an HTTP filter before the others. The plugin of [`edit_plugin`](Self::edit_plugin) is then this one's, if it is a Wasm filter:
    /// edit first.
    pub fn filter_before(self, filter: Value) -> Self {
        self.edit_manager(|manager| items(manager, "/http_filters").insert(0, filter))
    }

    /// Takes the Wasm filter out, to test what is around it.
    pub fn without_wasm(mut self) -> Self {
        for manager in connection_managers(&mut self.yaml) {
            items(manager, "/http_filters").retain(|filter| filter["typed_config"]["@type"] != WASM);
        }
        self
    }

    /// Changes the first HTTP connection manager: its path normalisation, its filters, its routes.
    ///
    /// # Panics
    /// When the configuration has none.
    pub fn edit_manager(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        let manager = connection_managers(&mut self.yaml).into_iter().next();
        edit(manager.expect("the configuration has an HTTP connection manager"));
        self
    }

    /// Changes anything.
    pub fn edit(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.yaml);
        self
    }

    /// Every listener speaks TLS, HTTP/2 and HTTP/1.1, with a certificate for these hosts: what the clients in [`tls`](crate::tls) trust.
    /// Without this they speak plain HTTP.
    pub fn tls(mut self, hosts: &[&str]) -> Self {
        let identity = crate::tls::identity(hosts);
        let certificate = json!({
            "certificate_chain": {"inline_string": identity.certificate},
            "private_key": {"inline_string": identity.private_key},
        });
        let socket = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [certificate],
                },
            },
        });
        for listener in items(&mut self.yaml, "/static_resources/listeners") {
            for chain in items(listener, "/filter_chains") {
                chain["transport_socket"] = socket.clone();
            }
        }
        self
    }

    /// The filter may read a request's body before it lets the head go on, one of up to 1 MiB.
    pub fn reads_bodies(mut self) -> Self {
        for filter in wasm_filters(&mut self.yaml) {
            filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = true.into();
        }
        self.edit_manager(|manager| {
            for host in items(manager, "/route_config/virtual_hosts") {
                for route in items(host, "/routes") {
                    route["request_body_buffer_limit"] = 1_048_576.into();
                }
            }
        })
    }

    /// How many workers there are; 1 unless told otherwise.
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Sets a variable of the filter's environment, as an operator's `vm_config.environment_variables` would.
    pub fn vm_env(mut self, name: &str, value: &str) -> Self {
        for filter in wasm_filters(&mut self.yaml) {
            let variables = &mut filter["typed_config"]["config"]["vm_config"]["environment_variables"];
            // Envoy takes a variable from one place only.
            if let Some(passed_on) = variables.get_mut("host_env_keys").and_then(Value::as_array_mut) {
                passed_on.retain(|known| known != name);
            }
            variables["key_values"][name] = value.into();
        }
        self
    }

    /// Sets a variable of Envoy's environment. The filter sees it only if its `vm_config` passes it on.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `--log-level`; `info` unless told otherwise.
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// `--component-log-level`, say `wasm:debug,http:debug`.
    pub fn component_log_level(mut self, levels: &str) -> Self {
        self.component_log_level = Some(levels.to_owned());
        self
    }

    /// The listener comes from a file that Envoy watches, so that [`Envoy::update_listener`] can replace it.
    pub fn dynamic(mut self) -> Self {
        self.dynamic = true;
        self
    }

    /// Envoy can be followed by another one that takes over its sockets: [`Envoy::succeed`].
    pub fn hot_restart(mut self) -> Self {
        self.hot_restart = true;
        self
    }

    /// Starts Envoy and waits until it listens.
    pub async fn start(&self) -> Result<Envoy, StartError> {
        Envoy::start(self).await
    }

    pub(super) fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    pub(super) fn may_restart(&self) -> bool {
        self.hot_restart
    }

    /// Every listener on this port: a successor asks for the socket by its address.
    pub(super) fn on_port(mut self, port: u16) -> Self {
        for listener in items(&mut self.yaml, "/static_resources/listeners") {
            listener["address"]["socket_address"]["port_value"] = port.into();
        }
        self
    }

    pub(super) fn needs_wasm(&self) -> bool {
        !wasm_filters(&mut self.yaml.clone()).is_empty()
    }

    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        let concurrency = self.concurrency.to_string();
        let mut arguments =
            vec!["--concurrency".to_owned(), concurrency, "--log-level".to_owned(), self.log_level.clone()];
        if let Some(levels) = &self.component_log_level {
            arguments.extend(["--component-log-level".to_owned(), levels.clone()]);
        }
        arguments
    }

    /// What Envoy reads at its start; a dynamic one finds its listeners in `directory`.
    pub(super) fn bootstrap(&self, directory: &Path) -> Value {
        let mut bootstrap = self.yaml.clone();
        if self.dynamic {
            items(&mut bootstrap, "/static_resources/listeners").clear();
            let source = json!({"path": directory.join(LISTENERS), "watched_directory": {"path": directory}});
            bootstrap["dynamic_resources"]["lds_config"] =
                json!({"resource_api_version": "V3", "path_config_source": source});
        }
        bootstrap
    }

    /// The listeners as resources of their own.
    pub(super) fn listeners(&self) -> Vec<Value> {
        let listeners = self.yaml.pointer("/static_resources/listeners").and_then(Value::as_array);
        let mut listeners = listeners.cloned().unwrap_or_default();
        for listener in &mut listeners {
            listener["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
        }
        listeners
    }

    fn set_plugin(mut self, any: &Value) -> Self {
        for filter in wasm_filters(&mut self.yaml) {
            filter["typed_config"]["config"]["configuration"] = any.clone();
        }
        self
    }

    fn localise(&mut self) {
        let anywhere = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        self.yaml["admin"] = json!({ "address": anywhere });
        for listener in items(&mut self.yaml, "/static_resources/listeners") {
            listener["address"] = anywhere.clone();
        }
        for filter in wasm_filters(&mut self.yaml) {
            // A missing filter is reported when Envoy starts; until then any name will do.
            let wasm = find_wasm().unwrap_or_else(|_| "portcullis.wasm".into());
            filter["typed_config"]["config"]["vm_config"]["code"] = json!({"local": {"filename": wasm}});
        }
    }
}

fn items<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Vec<Value> {
    let array = value.pointer_mut(pointer).and_then(Value::as_array_mut);
    array.unwrap_or_else(|| panic!("the configuration has no list at {pointer}"))
}

/// Every HTTP connection manager.
fn connection_managers(yaml: &mut Value) -> Vec<&mut Value> {
    let chains =
        items(yaml, "/static_resources/listeners").iter_mut().flat_map(|l| items(l, "/filter_chains"));
    let filters = chains.flat_map(|chain| items(chain, "/filters"));
    let managers = filters.filter(|filter| {
        let kind = filter["typed_config"]["@type"].as_str().unwrap_or_default();
        kind.ends_with(".HttpConnectionManager")
    });
    managers.map(|filter| &mut filter["typed_config"]).collect()
}

/// Every HTTP filter that is a Wasm plugin.
fn wasm_filters(yaml: &mut Value) -> Vec<&mut Value> {
    let filters = connection_managers(yaml).into_iter().flat_map(|manager| items(manager, "/http_filters"));
    filters.filter(|filter| filter["typed_config"]["@type"] == WASM).collect()
}
