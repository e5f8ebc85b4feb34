//! The tour, from the first request to the day on which Keycloak is down.

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use portcullis_tests::envoy::StartError;
use portcullis_tests::{Envoy, EnvoyConfig, Upstream};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::by_hand::ByHand;
use crate::provider::Provider;
use crate::screen::Screen;
use crate::step::{Named, Step};

pub(crate) const SELFCARE: &str = "selfcare.csp.com";
pub(crate) const ADMIN: &str = "admin.csp.com";
pub(crate) const INVOICES: &str = "/rest/Invoice/get_invoice_list";

/// The tour's own shortening, so that nobody waits ten seconds for it.
const COOLDOWN: Duration = Duration::from_secs(1);

/// What the tour goes through, and what was found different from what was told.
pub(crate) struct Tour {
    pub(crate) screen: Screen,
    pub(crate) provider: Provider,
    pub(crate) upstream: Upstream,
    envoy: Envoy,
    /// Where browsers sign in, once the tour has come there.
    /// The shell variables that the printed commands use.
    variables: TempDir,
    pub(crate) steps: usize,
    differences: Vec<String>,
}

/// Walks the tour. Everything goes on running as long as the tour that is returned.
pub(crate) async fn run(keycloak: bool) -> (ExitCode, Option<Tour>) {
    let mut tour = match Tour::start(keycloak).await {
        Ok(tour) => tour,
        Err(e) => {
            eprintln!("The tour cannot start: {e}");
            return (ExitCode::FAILURE, None);
        }
    };
    tour.requests().await;
    tour.refusals().await;
    tour.logins().await;
    tour.rotation().await;
    tour.outage().await;
    (tour.summary(), Some(tour))
}

fn config(provider: &Provider, upstream: &Upstream) -> EnvoyConfig {
    let config = EnvoyConfig::file("two-realms.yaml").cluster("upstream", upstream.addr());
    provider.wire(config).edit_plugin(|plugin| {
        let customers = &mut plugin["realms"]["customers"];
        customers["keys"]["refetch_cooldown"] = json!(format!("{}s", COOLDOWN.as_secs()));
        customers["clock_skew"] = json!("1s");
    })
}

impl Tour {
    async fn start(keycloak: bool) -> Result<Self, StartError> {
        let screen = Screen::new();
        screen.heading("Portcullis: a tour");
        let provider = Provider::start(keycloak, screen).await?;
        let upstream = Upstream::start().await;
        let envoy = config(&provider, &upstream).start().await?;
        let variables = tempfile::Builder::new().prefix("portcullis-demo-").tempdir();
        let variables = variables.map_err(|e| StartError { problem: e.to_string(), log: String::new() })?;
        let (steps, differences) = (0, Vec::new());
        let tour = Self { screen, provider, upstream, envoy, variables, steps, differences };
        tour.export("ENVOY", &tour.envoy.url(""));

        screen.heading("    Envoy with envoy/two-realms.yaml");
        screen.say(&format!("Envoy       http://{}", tour.envoy.addr()));
        for (realm, addr, issuer) in tour.provider.realms() {
            screen.say(&format!("{realm:11} http://{addr}  is {issuer}"));
        }
        screen.say(&format!("upstream    http://{}", tour.upstream.addr()));
        screen.say("Different from the file: the addresses; and refetch_cooldown and clock_skew of the customers are 1s, to be quick.");
        screen.say(&format!(
            "The variables in the commands: . {}   (while this runs; --keep)",
            tour.file().display()
        ));
        Ok(tour)
    }

    /// Who may do what.
    async fn requests(&mut self) {
        let customer = self.named("CUSTOMER", self.provider.customer().await);
        let poor = self.named("NO_BILLING", self.provider.customer_without_billing().await);
        let admin = self.named("ADMIN", self.provider.admin().await);

        self.perform(
            Step::get("A customer with the role billing reads the invoices", SELFCARE, INVOICES, 200)
                .with(&customer)
                .forwards(&[
                    ("x-porta-realm", Some("customers")),
                    ("x-porta-user", Some("alice")),
                    ("x-porta-customer", Some("1042")),
                    ("x-porta-roles", Some(self.provider.roles())),
                    ("x-porta-superuser", Some("false")),
                    ("authorization", None),
                ]),
        )
        .await;
        self.perform(
            Step::get("A customer without that role does not", SELFCARE, INVOICES, 403)
                .with(&poor)
                .answers("www-authenticate", "insufficient_scope"),
        )
        .await;
        self.perform(
            Step::get(
                "A password alone is not enough for a SIM card: a second factor is asked for",
                SELFCARE,
                "/rest/Sim/swap",
                401,
            )
            .with(&customer)
            .answers("www-authenticate", "insufficient_user_authentication"),
        )
        .await;
        self.perform(
            Step::get("A customer's token is worth nothing at the administrators' host", ADMIN, "/", 401)
                .with(&customer)
                .answers("www-authenticate", "invalid_token"),
        )
        .await;
        self.perform(
            Step::get("An administrator is let in there, and known as a superuser", ADMIN, "/", 200)
                .with(&admin)
                .forwards(&[
                    ("x-porta-realm", Some("admins")),
                    ("x-porta-user", Some("root.admin")),
                    ("x-porta-superuser", Some("true")),
                ]),
        )
        .await;
    }

    /// What is not an identity, or not a reason to ask for one.
    async fn refusals(&mut self) {
        let customer = self.named("CUSTOMER", self.provider.customer().await);
        let expired = self.named("EXPIRED", self.provider.expired().await);

        self.perform(
            Step::get(
                "A customer claims to be somebody else: the claim does not arrive",
                SELFCARE,
                INVOICES,
                200,
            )
            .with(&customer)
            .header("x-porta-user", "root.admin")
            .header("x-porta-superuser", "true")
            .header("x-porta-anything", "at all")
            .forwards(&[
                ("x-porta-user", Some("alice")),
                ("x-porta-superuser", Some("false")),
                ("x-porta-anything", None),
            ]),
        )
        .await;
        self.perform(
            Step::get("A token that has expired", SELFCARE, INVOICES, 401)
                .with(&expired)
                .answers("www-authenticate", "invalid_token"),
        )
        .await;
        self.perform(
            Step::get("No token, from a program: a challenge and JSON", SELFCARE, INVOICES, 401)
                .header("accept", "application/json")
                .answers("www-authenticate", "Bearer")
                .answers("content-type", "application/problem+json"),
        )
        .await;
        self.perform(
            Step::get("No token, from a browser that opens a page: HTML", SELFCARE, INVOICES, 401)
                .header("accept", "text/html,application/xhtml+xml")
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document")
                .answers("www-authenticate", "Bearer")
                .answers("content-type", "text/html"),
        )
        .await;
        self.perform(
            Step::get("A public file needs no token", SELFCARE, "/assets/logo.svg", 200)
                .header("x-porta-user", "root.admin")
                .forwards(&[("x-porta-user", None)]),
        )
        .await;
        self.perform(
            Step::get("A host that nobody configured", "evil.example", INVOICES, 421).with(&customer),
        )
        .await;
    }

    /// Keycloak changes its key, and the old one is gone.
    async fn rotation(&mut self) {
        let old = self.named("OLD_KEY", self.provider.customer().await);
        self.provider.rotate().await;
        let new = self.named("NEW_KEY", self.provider.customer().await);
        // The last fetch has to be so long ago that another one is allowed.
        tokio::time::sleep(COOLDOWN + Duration::from_millis(200)).await;

        let before = self.fetches().await;
        self.perform(
            Step::get(
                "The realm has a new key, and a token signed with it passes at once",
                SELFCARE,
                INVOICES,
                200,
            )
            .with(&new)
            .forwards(&[("x-porta-user", Some("alice"))]),
        )
        .await;
        let fetched = self.fetches().await - before;
        self.expect(fetched == 1, &format!("the keys were fetched {fetched} times for it (told: once)"));
        self.perform(
            Step::get(
                "The old key is no longer published, so its tokens are refused",
                SELFCARE,
                INVOICES,
                401,
            )
            .with(&old)
            .answers("www-authenticate", "invalid_token"),
        )
        .await;
    }

    /// Keycloak is down: what was known goes on, what was not waits for it.
    async fn outage(&mut self) {
        let customer = self.named("CUSTOMER", self.provider.lasting_customer().await);
        let ask = || {
            Step::get("The issuer is down: keys that are known go on serving", SELFCARE, INVOICES, 200)
                .with(&customer)
        };
        self.provider.stop().await;
        self.perform(ask().forwards(&[("x-porta-user", Some("alice"))])).await;

        let cold = match config(&self.provider, &self.upstream).start().await {
            Ok(envoy) => envoy,
            Err(e) => return self.expect(false, &format!("a new Envoy does not start: {e}")),
        };
        self.screen.heading("    A new Envoy, started while the issuer is down");
        self.screen.say(&format!("Envoy       http://{}  ($COLD)", cold.addr()));
        self.export("COLD", &cold.url(""));
        let refused = Step::get(
            "It has no keys of the customers, so it says that it cannot tell",
            SELFCARE,
            INVOICES,
            503,
        );
        self.perform_at(&refused.at("COLD").with(&customer).answers("retry-after", ""), cold.addr()).await;

        if let Err(e) = self.provider.restart().await {
            return self.expect(false, &format!("the issuer comes back: {e}"));
        }
        self.recovers(&cold, &ask()).await;
    }

    async fn recovers(&mut self, cold: &Envoy, ask: &Step<'_>) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let since = Instant::now();
        let mut recovered = false;
        while !recovered && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(250)).await;
            recovered = ask.holds(cold.addr()).await;
        }
        self.screen.heading("    The issuer is back");
        let after = since.elapsed().as_secs_f32();
        self.expect(
            recovered,
            &format!("the new Envoy admits the customer after {after:.1} s, without a restart"),
        );
    }

    fn summary(&self) -> ExitCode {
        let steps = self.steps;
        if self.differences.is_empty() {
            self.screen.heading(&format!("All {steps} steps went as told."));
            return ExitCode::SUCCESS;
        }
        self.screen.heading(&format!("{} of the tour's expectations did not hold:", self.differences.len()));
        for difference in &self.differences {
            self.screen.bad(difference);
        }
        self.screen.heading("    Envoy's last words");
        let log = self.envoy.log();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(20)..] {
            self.screen.quiet(line);
        }
        ExitCode::FAILURE
    }

    /// Prints what a person needs to go on alone, and then the one-time codes as time goes by. Ends only if something does not start.
    pub(crate) async fn keep(&self) {
        let customer = self.named("CUSTOMER", self.provider.lasting_customer().await);
        let admin = self.named("ADMIN", self.provider.lasting_admin().await);
        let screen = self.screen;
        screen.heading("Everything stays as it is until Ctrl-C. The tokens last 55 minutes.");
        screen.say(&format!("export ENVOY={}", self.envoy.url("")));
        screen.say(&format!("export CUSTOMER={}", customer.token));
        screen.say(&format!("export ADMIN={}", admin.token));
        screen.say(&format!("or: . {}", self.file().display()));
        screen.say(&format!("Envoy's admin interface: http://{}", self.envoy.admin()));
        self.provider.keep(screen);
        let by_hand = match ByHand::start(&self.provider).await {
            Ok(by_hand) => by_hand,
            Err(e) => return screen.bad(&format!("the portals cannot start: {e}")),
        };
        by_hand.tell(&self.provider, screen);
        if self.provider.asks_for_codes() {
            by_hand.codes(screen).await;
        }
        std::future::pending::<()>().await;
    }

    async fn perform(&mut self, step: Step<'_>) {
        self.perform_at(&step, self.envoy.addr()).await;
    }

    async fn perform_at(&mut self, step: &Step<'_>, envoy: SocketAddr) {
        self.steps += 1;
        let differences = step.perform(self.steps, self.screen, envoy, &self.upstream).await;
        self.differ(differences);
    }

    /// Takes down what went otherwise in the present step.
    pub(crate) fn differ(&mut self, differences: Vec<String>) {
        let step = self.steps;
        self.differences
            .extend(differences.into_iter().map(|difference| format!("step {step}: {difference}")));
    }

    /// How often the customers' keys were fetched.
    async fn fetches(&self) -> u64 {
        self.envoy.stat("wasmcustom.portcullis.customers.keys_fetch.success").await.unwrap_or(0)
    }

    pub(crate) fn expect(&mut self, holds: bool, told: &str) {
        if holds {
            self.screen.good(&format!("as told: {told}"));
        } else {
            self.screen.bad(&format!("DIFFERENT: {told}"));
            self.differences.push(format!("after step {}: not so: {told}", self.steps));
        }
    }

    /// A token, and a shell variable that holds it.
    fn named(&self, variable: &'static str, token: String) -> Named {
        self.export(variable, &token);
        Named { variable, token }
    }

    fn export(&self, variable: &str, value: &str) {
        let before = fs::read_to_string(self.file()).unwrap_or_default();
        let written = fs::write(self.file(), format!("{before}export {variable}={value}\n"));
        written.expect("the tour's own directory can be written");
    }

    fn file(&self) -> std::path::PathBuf {
        self.variables.path().join("demo.env")
    }
}
