//! The pages of the two portals: self-contained, with the style and the scripts of a small single-page application.

use hyper::Response;

use super::Portal;
use crate::server::{Body, whole};

/// A page, without what all of them share.
pub(super) struct Page {
    title: &'static str,
    main: &'static str,
}

pub(super) const SIGN_IN: Page = Page { title: "Sign in", main: include_str!("sign_in.html") };
pub(super) const DASHBOARD: Page = Page { title: "Dashboard", main: include_str!("dashboard.html") };
pub(super) const SIM: Page = Page {
    title: "SIM swap",
    main: "<h1>SIM swap</h1><p id=\"sim\">You have shown a second factor, so you may swap a SIM card here.</p>\
           <p><a href=\"/dashboard\">Back to the dashboard</a></p>",
};
pub(super) const SAVED: Page = Page {
    title: "Saved",
    main: "<h1>Saved</h1><p id=\"saved\">The note was saved.</p><p><a href=\"/dashboard\">Back to the dashboard</a></p>",
};

pub(super) fn page(page: &Page, portal: Portal) -> Response<Body> {
    let (name, class, accent) = match portal {
        Portal::SelfCare => ("Self-care", "selfcare", "#0b6b53"),
        Portal::Admin => ("Admin UI", "admin", "#7a2e8e"),
    };
    let html = include_str!("frame.html")
        .replace("{{main}}", page.main)
        .replace("{{title}}", page.title)
        .replace("{{portal}}", name)
        .replace("{{class}}", class)
        .replace("{{accent}}", accent);
    whole(200, "text/html; charset=utf-8", html)
}
