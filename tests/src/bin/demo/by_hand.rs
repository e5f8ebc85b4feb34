//! What stays up after the tour for a person with a browser: both portals behind the filter, and who can sign in there.

use std::time::Duration;

use portcullis_tests::envoy::StartError;
use portcullis_tests::keycloak::totp;
use portcullis_tests::portaswitch::{self, ALPHA, PORTA_SUPPORT, ZZZ_PORTAONE};
use portcullis_tests::{Envoy, EnvoyConfig, PortaSwitch};

use crate::provider::{OPERATOR, Provider, SUBSCRIBER};
use crate::screen::Screen;
use crate::tour::{ADMIN, SELFCARE};

/// Seconds for which a one-time code is the current one.
const PERIOD: u64 = 30;

/// The portals of the emulator, behind an Envoy with a certificate for their hosts.
pub(crate) struct ByHand {
    envoy: Envoy,
    _portaswitch: PortaSwitch,
}

impl ByHand {
    pub(crate) async fn start(provider: &Provider) -> Result<Self, StartError> {
        let portaswitch = PortaSwitch::start().await;
        let config = EnvoyConfig::file("login.yaml").cluster("upstream", portaswitch.addr());
        let config = provider.wire_login(config).tls(&[SELFCARE, ADMIN]).edit_plugin(portaswitch::configure);
        Ok(Self { envoy: config.start().await?, _portaswitch: portaswitch })
    }

    /// Prints how to come here, and what there is to be tried.
    pub(crate) fn tell(&self, provider: &Provider, screen: Screen) {
        let envoy = self.envoy.addr();
        screen.heading(
            "The use cases by hand: two portals, which are an emulator of PortaSwitch, behind the filter",
        );
        screen.say(&format!(
            "chromium --user-data-dir=\"$(mktemp -d)\" --ignore-certificate-errors \
             --host-resolver-rules='MAP {SELFCARE}:443 {envoy}, MAP {ADMIN}:443 {envoy}' https://{SELFCARE} https://{ADMIN}"
        ));
        screen.say("    The rules lead the hosts to this Envoy; /etc/hosts cannot, since it maps no port. The certificate is of this run alone.");
        screen.say("    As root, --no-sandbox too.");
        screen.say(&format!("curl -ik --connect-to ::{envoy} https://{SELFCARE}/sso/session"));
        screen.say("");
        screen.say(&format!(
            "1.1  https://{SELFCARE}  Sign in with SSO as {SUBSCRIBER}; the dashboard says who is here"
        ));
        screen.say("1.2  the same with a wrong password or code; or with Keycloak's page left open while the site's cookies are deleted");
        screen.say(&format!(
            "1.3  https://{SELFCARE}  login {} with the password {}",
            ZZZ_PORTAONE.login, ZZZ_PORTAONE.password
        ));
        screen.say(&format!(
            "     PortaSwitch knows {} with the password {}, too: not on the list",
            ALPHA.login, ALPHA.password
        ));
        screen.say(&format!(
            "2.1  https://{ADMIN}     Sign in with SSO as root.admin, a superuser, or {OPERATOR}, who is none"
        ));
        screen.say("2.2  as 1.2");
        screen.say(&format!(
            "2.3  https://{ADMIN}     login {} with the password {}",
            PORTA_SUPPORT.login, PORTA_SUPPORT.password
        ));
        screen.say("");
        provider.tell_logins(screen);
    }

    /// Prints each one-time code as it becomes the current one, for ever.
    pub(crate) async fn codes(&self, screen: Screen) {
        loop {
            let left = PERIOD - portcullis_tests::now() % PERIOD;
            screen.say(&format!("one-time code for {left:2} seconds: {}", totp()));
            tokio::time::sleep(Duration::from_secs(left)).await;
        }
    }
}
