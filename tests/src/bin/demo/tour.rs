//! The tour, from the first request to the day on which Keycloak is down.

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use portcullis_tests::envoy::StartError;
use portcullis_tests::token::TokenBuilder;
use portcullis_tests::{Envoy, EnvoyConfig, RotateOptions, World};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::screen::Screen;
use crate::step::{Named, Step};

const SELFCARE: &str = "selfcare.csp.com";
const ADMIN: &str = "admin.csp.com";
const INVOICES: &str = "/rest/Invoice/get_invoice_list";

/// How long the tokens last that are printed at the end; the realm `customers` allows an hour.
const LONG: u64 = 3300;

/// The tour's own shortening, so that nobody waits ten seconds for it.
const COOLDOWN: Duration = Duration::from_secs(1);

/// The world that the tour goes through, and what was found different from what was told.
pub(crate) struct Tour {
    screen: Screen,
    world: World,
    /// The shell variables that the printed commands use.
    variables: TempDir,
    steps: usize,
    differences: Vec<String>,
}

/// Walks the tour. Everything goes on running as long as the tour that is returned.
pub(crate) async fn run() -> (ExitCode, Option<Tour>) {
    let mut tour = match Tour::start().await {
        Ok(tour) => tour,
        Err(e) => {
            eprintln!("The tour cannot start: {e}");
            return (ExitCode::FAILURE, None);
        }
    };
    tour.requests().await;
    tour.refusals().await;
    tour.rotation().await;
    tour.outage().await;
    (tour.summary(), Some(tour))
}

fn config() -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| {
        plugin["realms"]["customers"]["keys"]["refetch_cooldown"] = json!(format!("{}s", COOLDOWN.as_secs()));
    })
}

impl Tour {
    async fn start() -> Result<Self, StartError> {
        let screen = Screen::new();
        screen.heading("Portcullis: a tour");
        screen.say("Keycloak's part is played by Portcullis' own issuer: it has Keycloak's shape (discovery, keys, tokens), but it is");
        screen.say("NOT Keycloak, and nobody logs in. Envoy and the filter in it are real, and so is everything they answer.");
        let world = World::with(config()).await?;
        let variables = tempfile::Builder::new().prefix("portcullis-demo-").tempdir();
        let variables = variables.map_err(|e| StartError { problem: e.to_string(), log: String::new() })?;
        let tour = Self { screen, world, variables, steps: 0, differences: Vec::new() };
        tour.export("ENVOY", &tour.world.envoy.url(""));

        screen.heading("    Envoy with envoy/two-realms.yaml");
        screen.say(&format!("Envoy       http://{}", tour.world.envoy.addr()));
        screen.say(&format!(
            "customers   http://{}  is {}",
            tour.world.customers.addr(),
            tour.world.customers.issuer()
        ));
        screen.say(&format!(
            "admins      http://{}  is {}",
            tour.world.admins.addr(),
            tour.world.admins.issuer()
        ));
        screen.say(&format!("upstream    http://{}", tour.world.upstream.addr()));
        screen.say("Different from the file: the addresses, and refetch_cooldown of the customers is 1s, to be quick.");
        screen.say(&format!(
            "The variables in the commands: . {}   (while this runs; --keep)",
            tour.file().display()
        ));
        Ok(tour)
    }

    /// Who may do what.
    async fn requests(&mut self) {
        let customer = self.mint("CUSTOMER", self.world.customers.token());
        let poor = self.mint("NO_BILLING", self.world.customers.token().without("resource_access"));
        let admin = self.mint("ADMIN", self.world.admins.token());

        self.perform(
            Step::get("A customer with the role billing reads the invoices", SELFCARE, INVOICES, 200)
                .with(&customer)
                .forwards(&[
                    ("x-porta-realm", Some("customers")),
                    ("x-porta-user", Some("alice")),
                    ("x-porta-customer", Some("1042")),
                    ("x-porta-roles", Some("customer,offline_access,portaswitch:billing")),
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
                    ("x-porta-roles", Some("admin,Root")),
                    ("x-porta-superuser", Some("true")),
                ]),
        )
        .await;
    }

    /// What is not an identity, or not a reason to ask for one.
    async fn refusals(&mut self) {
        let customer = self.mint("CUSTOMER", self.world.customers.token());
        let expired = self.mint("EXPIRED", self.world.customers.token().expired(60));

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
            Step::get("A token that expired a minute ago", SELFCARE, INVOICES, 401)
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
        let old = self.mint("OLD_KEY", self.world.customers.token());
        self.world.customers.rotate(RotateOptions { keep_old: false });
        let new = self.mint("NEW_KEY", self.world.customers.token());
        // The last fetch has to be so long ago that another one is allowed.
        tokio::time::sleep(COOLDOWN + Duration::from_millis(200)).await;

        let hits = self.world.customers.jwks_hits();
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
        let fetched = self.world.customers.jwks_hits() - hits;
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
        let customer =
            self.mint("CUSTOMER", self.world.customers.token().claim("exp", portcullis_tests::now() + LONG));
        let ask = || {
            Step::get("The issuer is down: keys that are known go on serving", SELFCARE, INVOICES, 200)
                .with(&customer)
        };
        self.world.customers.stop().await;
        self.perform(ask().forwards(&[("x-porta-user", Some("alice"))])).await;

        let cold = match self.world.wire(config()).start().await {
            Ok(envoy) => envoy,
            Err(e) => return self.expect(false, &format!("a second Envoy does not start: {e}")),
        };
        self.screen.heading("    A second Envoy, started while the issuer is down");
        self.screen.say(&format!("Envoy       http://{}  ($COLD)", cold.addr()));
        self.export("COLD", &cold.url(""));
        let refused = Step::get(
            "It has no keys of the customers, so it says that it cannot tell",
            SELFCARE,
            INVOICES,
            503,
        );
        self.perform_at(&refused.at("COLD").with(&customer).answers("retry-after", ""), cold.addr()).await;

        self.world.customers.restart().await;
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
            &format!("the second Envoy admits the customer after {after:.1} s, without a restart"),
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
        let log = self.world.envoy.log();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(20)..] {
            self.screen.quiet(line);
        }
        ExitCode::FAILURE
    }

    /// Prints what a person needs to go on alone.
    pub(crate) fn keep(&self) {
        let exp = portcullis_tests::now() + LONG;
        let customer = self.mint("CUSTOMER", self.world.customers.token().claim("exp", exp));
        let admin = self.mint("ADMIN", self.world.admins.token().claim("exp", exp));
        let screen = self.screen;
        screen.heading("Everything stays as it is until Ctrl-C. The tokens last 55 minutes.");
        screen.say(&format!("export ENVOY={}", self.world.envoy.url("")));
        screen.say(&format!("export CUSTOMER={}", customer.token));
        screen.say(&format!("export ADMIN={}", admin.token));
        screen.say(&format!("or: . {}", self.file().display()));
        screen.say(&format!("Envoy's admin interface: http://{}", self.world.envoy.admin()));
    }

    async fn perform(&mut self, step: Step<'_>) {
        self.perform_at(&step, self.world.envoy.addr()).await;
    }

    async fn perform_at(&mut self, step: &Step<'_>, envoy: SocketAddr) {
        self.steps += 1;
        let differences = step.perform(self.steps, self.screen, envoy, &self.world.upstream).await;
        self.differences
            .extend(differences.into_iter().map(|difference| format!("step {}: {difference}", self.steps)));
    }

    fn expect(&mut self, holds: bool, told: &str) {
        if holds {
            self.screen.good(&format!("as told: {told}"));
        } else {
            self.screen.bad(&format!("DIFFERENT: {told}"));
            self.differences.push(format!("after step {}: not so: {told}", self.steps));
        }
    }

    /// A token, and a shell variable that holds it.
    fn mint(&self, variable: &'static str, token: TokenBuilder) -> Named {
        let token = token.sign();
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
