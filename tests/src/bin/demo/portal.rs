//! The part of the tour in which browsers sign in.

use portcullis_tests::browser::{Page, Site};
use portcullis_tests::envoy::StartError;
use portcullis_tests::{Browser, Envoy, EnvoyConfig, Upstream, Visit};

use crate::expectation::{Expectation, short};
use crate::provider::{OPERATOR, Provider, SUBSCRIBER};
use crate::tour::{ADMIN, INVOICES, SELFCARE, Tour};

/// How many seconds the first access token lasts: fewer than `refresh_before`.
const SHORT: u64 = 20;

/// An Envoy at which browsers sign in, with a certificate for its hosts.
pub(crate) struct Portal {
    envoy: Envoy,
}

impl Portal {
    async fn start(provider: &Provider, upstream: &Upstream) -> Result<Self, StartError> {
        let config = EnvoyConfig::file("login.yaml").cluster("upstream", upstream.addr());
        let config = provider.wire_login(config).tls(&[SELFCARE, ADMIN]);
        Ok(Self { envoy: config.start().await? })
    }

    fn browser(&self) -> Browser {
        let browser = Browser::new().tls_route(origin(SELFCARE), self.envoy.addr());
        browser.tls_route(origin(ADMIN), self.envoy.addr())
    }
}

fn origin(host: &str) -> String {
    format!("https://{host}")
}

fn url(host: &str, path: &str) -> String {
    format!("https://{host}{path}")
}

fn session_cookie(expectation: Expectation) -> Expectation {
    expectation.answers("set-cookie", "__Host-portcullis-session-0=")
}

impl Tour {
    /// A customer and an administrator sign in with browsers, work, and sign out.
    pub(crate) async fn logins(&mut self) {
        let portal = match Portal::start(&self.provider, &self.upstream).await {
            Ok(portal) => portal,
            Err(e) => return self.expect(false, &format!("Envoy with envoy/login.yaml does not start: {e}")),
        };
        self.screen.heading("    Another Envoy with envoy/login.yaml, over TLS: browsers sign in");
        self.screen.say(&format!("Envoy       https://{}", portal.envoy.addr()));
        self.screen.say(self.provider.about_logins());
        self.provider.enrol().await;

        let mut browser = portal.browser();
        self.first_page(&portal, &mut browser).await;
        self.session(&mut browser).await;
        self.step_up(&mut browser).await;
        self.administrator(&mut portal.browser()).await;
        self.logout(&mut browser).await;
    }

    /// From a page without a session to the callback.
    async fn first_page(&mut self, portal: &Portal, browser: &mut Browser) {
        let script = Visit::fetch(url(SELFCARE, INVOICES));
        self.browse(
            "A script without a session is told so, with the address of the login, and sent nowhere",
            &mut portal.browser(),
            &script,
            &Expectation::status(401)
                .answers("content-type", "application/problem+json")
                .tells("\"login_url\":\"/sso/start"),
        )
        .await;
        self.provider.customers_tokens_last(SHORT).await;
        let page = Visit::navigation(url(SELFCARE, INVOICES));
        self.sign_in(
            "A browser without a session opens the invoices: it is sent to the customers' issuer",
            browser,
            &page,
            ("customers", SUBSCRIBER),
            "code_challenge_method=S256",
        )
        .await;
        self.provider.customers_tokens_last(300).await;
    }

    /// What a browser can do with its session, and what others cannot.
    async fn session(&mut self, browser: &mut Browser) {
        let page = Visit::navigation(url(SELFCARE, INVOICES));
        let forwarded = Expectation::status(200).forwards(&[
            ("x-porta-realm", Some("customers")),
            ("x-porta-user", Some(SUBSCRIBER)),
            ("x-porta-roles", Some(self.provider.roles())),
            ("authorization", None),
            ("cookie", None),
        ]);
        self.browse(
            "The page: the application sees the user and no cookie of ours. The token ends soon, so it is renewed on the way",
            browser,
            &page.clone().from(Site::CrossSite),
            &session_cookie(forwarded),
        )
        .await;
        self.browse(
            "The portal's own pages ask who is here",
            browser,
            &Visit::fetch(url(SELFCARE, "/sso/session")),
            &Expectation::status(200)
                .answers("content-type", "application/json")
                .tells(format!("\"user\":\"{SUBSCRIBER}\""))
                .tells("\"session_expires_at\""),
        )
        .await;
        self.browse(
            "A form of another site, from a browser that would send the cookies along",
            &mut browser.clone().without_same_site(),
            &Visit::form(url(SELFCARE, INVOICES), &[("pay", "all")]).from(Site::CrossSite),
            &Expectation::status(403),
        )
        .await;
    }

    /// A page that a password is not enough for.
    async fn step_up(&mut self, browser: &mut Browser) {
        let page = Visit::navigation(url(SELFCARE, "/rest/Sim/swap"));
        self.sign_in(
            "A password is not enough for a SIM card: the browser is sent for a one-time code",
            browser,
            &page,
            ("customers", SUBSCRIBER),
            "acr_values=gold",
        )
        .await;
        self.browse(
            "With the code, it is",
            browser,
            &page.from(Site::CrossSite),
            &Expectation::status(200).forwards(&[("x-porta-user", Some(SUBSCRIBER))]),
        )
        .await;
    }

    /// The other realm.
    async fn administrator(&mut self, browser: &mut Browser) {
        let page = Visit::navigation(url(ADMIN, "/"));
        self.sign_in(
            "An administrator opens the other host: it is the administrators' issuer, and a one-time code at once",
            browser,
            &page,
            ("admins", OPERATOR),
            "acr_values=gold",
        )
        .await;
        self.browse(
            "The administrator is let in",
            browser,
            &page.from(Site::CrossSite),
            &Expectation::status(200)
                .forwards(&[("x-porta-realm", Some("admins")), ("x-porta-user", Some(OPERATOR))]),
        )
        .await;
    }

    /// The session ends here and at the issuer, and a copy of its cookies with it.
    async fn logout(&mut self, browser: &mut Browser) {
        let mut copy = browser.clone();
        let issuer = self.provider.issuer("customers");
        let out = self
            .browse(
                "The customer signs out: the cookies go, and so does the session at the issuer",
                browser,
                &Visit::navigation(url(SELFCARE, "/sso/logout")).from(Site::SameOrigin),
                &Expectation::status(303)
                    .answers("location", format!("{issuer}/protocol/openid-connect/logout?"))
                    .answers("set-cookie", "__Host-portcullis-session-0=;"),
            )
            .await;
        let back = browser.follow(&out).await.location();
        self.expect(
            back.as_ref().is_some_and(|back| back.as_str() == url(SELFCARE, "/")),
            &format!("the issuer sends the browser back to {}", url(SELFCARE, "/")),
        );
        self.browse(
            "The next page needs a new login",
            browser,
            &Visit::navigation(url(SELFCARE, INVOICES)),
            &Expectation::status(303).answers("location", issuer),
        )
        .await;
        self.browse(
            "A copy of the cookies from before is worth nothing",
            &mut copy,
            &Visit::fetch(url(SELFCARE, INVOICES)),
            &Expectation::status(401),
        )
        .await;
    }

    /// A page leads to the issuer of the realm, where the user signs in, and the callback back to the page.
    async fn sign_in(
        &mut self,
        title: &str,
        browser: &mut Browser,
        page: &Visit,
        (realm, user): (&str, &str),
        asked: &str,
    ) {
        let issuer = self.provider.issuer(realm);
        let begun = Expectation::status(303)
            .answers("location", format!("{issuer}/protocol/openid-connect/auth?"))
            .answers("location", asked)
            .answers("set-cookie", "__Host-portcullis-login-");
        let begun = self.browse(title, browser, page, &begun).await;
        let callback = self.provider.authenticate(browser, &begun, (realm, user)).await;
        let Some(callback) = callback else {
            return self.expect(false, &format!("{user} signs in at {issuer}"));
        };
        self.expect(true, &format!("{user} signs in at {issuer}, which sends the browser back with a code"));
        self.browse(
            "The callback redeems the code, seals the session into cookies, and leads to the page",
            browser,
            &Visit::navigation(callback).from(Site::CrossSite),
            &session_cookie(Expectation::status(303).answers("location", page.url().path())),
        )
        .await;
    }

    /// One request of a browser, which follows nothing.
    async fn browse(
        &mut self,
        title: &str,
        browser: &mut Browser,
        visit: &Visit,
        expectation: &Expectation,
    ) -> Page {
        self.steps += 1;
        self.screen.heading(&format!("{:2}  {title}", self.steps));
        self.screen.say(&format!("> {}", short(&visit.to_string())));
        let before = self.upstream.requests();
        let page = browser.go(visit).await;
        let reached = self.upstream.requests() - before;
        let differences = expectation.check(self.screen, &page, &self.upstream, reached);
        self.differ(differences);
        page
    }
}
